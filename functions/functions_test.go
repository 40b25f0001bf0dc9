// Package functions_test builds every function and runs them as AWS would.
package functions_test

import (
	"archive/zip"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

func TestFunctionsBuildForLambda(t *testing.T) {
	entries, err := os.ReadDir(build(t, "arm64"))
	if err != nil {
		t.Fatal(err)
	}
	built := map[string]bool{}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		built[e.Name()] = true
		t.Logf("%-8s %5.1f MB", e.Name(), float64(info.Size())/1e6)
	}
	folders, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range folders {
		if f.IsDir() && !built[f.Name()] {
			t.Errorf("functions/%s gives no binary", f.Name())
		}
	}
}

const (
	retrievals = "/api/app/data-retrievals/v3.0/"
	deletions  = "/api/app/data-deletions/v3.0/"
)

func TestARequestRunsThroughTheFunctions(t *testing.T) {
	d := deploy(t)
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte(d.APISecret+":"))
	token := "?token=" + d.ProjectToken
	bearer := "Bearer " + d.GDPRToken

	now := time.Now().Add(-time.Hour).Unix()
	out := d.call(t, "ingest", http.MethodPost, "/import?strict=1", basic, fmt.Sprintf(
		`[{"event":"Bought","properties":{"distinct_id":"amelie","time":%d,"$insert_id":"a1","thing":"a lamp"}},
		  {"event":"Bought","properties":{"distinct_id":"bruno","time":%d,"$insert_id":"b1","thing":"a chair"}}]`, now, now))
	if out.StatusCode != http.StatusOK {
		t.Fatalf("import: %d %s", out.StatusCode, out.Body)
	}

	task := d.submit(t, retrievals+token, bearer, `{"distinct_ids":["amelie","nobody-of-that-name"]}`)
	status := d.wait(t, retrievals+task+"/"+token, bearer)
	text := download(t, status["result"].(string))
	if !strings.Contains(text, "a lamp") || strings.Contains(text, "a chair") {
		t.Errorf("the archive does not hold what is amelie's and only that")
	}

	task = d.submit(t, deletions+token, bearer, `{"distinct_ids":["amelie"]}`)
	d.wait(t, deletions+task+"/"+token, bearer)
	task = d.submit(t, retrievals+token, bearer, `{"distinct_ids":["amelie","bruno"]}`)
	text = download(t, d.wait(t, retrievals+task+"/"+token, bearer)["result"].(string))
	if strings.Contains(text, "a lamp") || !strings.Contains(text, "a chair") {
		t.Errorf("after the deletion the archive holds what was erased, or not what was kept")
	}

	answer, err := d.running["sweep"].Invoke(t.Context(), []byte(`{}`))
	if err != nil || answer.Failed {
		t.Errorf("sweep: %s, %v", answer.Body, err)
	}
	for _, secret := range []string{"amelie", "bruno", "nobody-of-that-name", "a lamp", d.GDPRToken, d.APISecret} {
		if strings.Contains(d.logs(), secret) {
			t.Errorf("the logs of the functions hold %q", secret)
		}
	}
	d.checkPolicies(t)
	if t.Failed() {
		t.Log(d.logs())
	}
}

// submit makes a request and returns its task.
func (d *deployment) submit(t *testing.T, target, authorization, body string) string {
	t.Helper()
	for range 30 {
		out := d.call(t, "api", http.MethodPost, target, authorization, body)
		if out.StatusCode == http.StatusTooManyRequests {
			time.Sleep(time.Second)
			continue
		}
		var created struct {
			Results struct {
				Task string `json:"task_id"`
			} `json:"results"`
		}
		if err := json.Unmarshal([]byte(out.Body), &created); err != nil || out.StatusCode != http.StatusCreated {
			t.Fatalf("create: %d %s\n%s", out.StatusCode, out.Body, d.logs())
		}
		return created.Results.Task
	}
	t.Fatal("create: throttled for too long")
	return ""
}

// wait returns the status of a request once it is SUCCESS.
func (d *deployment) wait(t *testing.T, target, authorization string) map[string]any {
	t.Helper()
	var last string
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		out := d.call(t, "api", http.MethodGet, target, authorization, "")
		var s struct{ Results map[string]any }
		if err := json.Unmarshal([]byte(out.Body), &s); err != nil {
			t.Fatalf("status: %d %s", out.StatusCode, out.Body)
		}
		last, _ = s.Results["status"].(string)
		switch last {
		case "SUCCESS":
			return s.Results
		case "FAILURE", "REVOKED", "NOT_FOUND":
			t.Fatalf("the request ended %s\n%s", last, d.logs())
		}
	}
	t.Fatalf("the request is still %s\n%s", last, d.logs())
	return nil
}

// download returns the text of all files in an archive.
func download(t *testing.T, link string) string {
	t.Helper()
	r, err := http.Get(link)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil || r.StatusCode != http.StatusOK {
		t.Fatalf("download: %d, %v", r.StatusCode, err)
	}
	files, err := zip.NewReader(bytes.NewReader(body), int64(len(body)))
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for _, f := range files.File {
		open, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(&text, open); err != nil {
			t.Fatal(err)
		}
		open.Close()
	}
	return text.String()
}

// BenchmarkFunctions tells of every function how large it is for Lambda, and how
// long it takes from the start of the process to the first event it asks for.
func BenchmarkFunctions(b *testing.B) {
	d := deploy(b)
	binaries, err := os.ReadDir(build(b, "arm64"))
	if err != nil {
		b.Fatal(err)
	}
	for _, f := range binaries {
		info, err := f.Info()
		if err != nil {
			b.Fatal(err)
		}
		b.Run(f.Name(), func(b *testing.B) {
			var ready time.Duration
			for range b.N {
				ready += d.start(b, f.Name(), *d.config.BaseEndpoint).Ready
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(float64(ready.Microseconds())/1e3/float64(b.N), "ms/start")
			b.ReportMetric(float64(info.Size())/1e6, "MB")
		})
	}
}
