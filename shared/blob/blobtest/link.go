package blobtest

import (
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"lethe/shared/blob"
	"lethe/shared/kind"
)

var goodLink = blob.Link{Lifetime: time.Minute, Filename: "Auskunft März.zip", Type: "application/zip"}

func link(t *testing.T, b blob.Bucket, key string, l blob.Link) string {
	t.Helper()
	address, err := b.Link(t.Context(), key, l)
	if err != nil || address == "" {
		t.Fatalf("Link: got %q, %v; want an address", address, err)
	}
	return address
}

// fetch returns the answer to one request and its body.
func fetch(t *testing.T, method, address string, header ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	client := http.Client{Timeout: 10 * time.Second}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

func testLinkFields(t *testing.T, d Driver) {
	for name, change := range map[string]func(*blob.Link){
		"no lifetime":        func(l *blob.Link) { l.Lifetime = 0 },
		"a lifetime too far": func(l *blob.Link) { l.Lifetime = blob.MaxLifetime + time.Second },
		"no file name":       func(l *blob.Link) { l.Filename = "" },
		"a folder":           func(l *blob.Link) { l.Filename = "a/b" },
		"a header":           func(l *blob.Link) { l.Filename = "a\r\nb" },
		"no type":            func(l *blob.Link) { l.Type = "" },
	} {
		l := goodLink
		change(&l)
		_, err := d.Bucket.Link(t.Context(), "links/file.zip", l)
		wantKind(t, "Link with "+name, err, kind.Invalid)
	}
	link(t, d.Bucket, "links/absent.zip", goodLink)
}

func testLinkFetch(t *testing.T, d Driver) {
	if !d.Links {
		return
	}
	const text = "0123456789abcdef"
	put(t, d.Bucket, "links/file.zip", []byte(text))
	address := link(t, d.Bucket, "links/file.zip", goodLink)

	resp, body := fetch(t, http.MethodGet, address)
	if resp.StatusCode != http.StatusOK || body != text {
		t.Fatalf("GET: got %s %q, want 200 and the file", resp.Status, body)
	}
	disposition, params, err := mime.ParseMediaType(resp.Header.Get("Content-Disposition"))
	if err != nil || disposition != "attachment" || params["filename"] != goodLink.Filename {
		t.Errorf("Content-Disposition: got %q %q, %v; want an attachment named %q", disposition, params, err, goodLink.Filename)
	}
	for name, want := range map[string]string{"Content-Type": goodLink.Type, "Content-Length": "16"} {
		if got := resp.Header.Get(name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	if got := resp.Header.Get("Cache-Control"); !strings.Contains(got, "no-store") {
		t.Errorf("Cache-Control: got %q, want no-store in it", got)
	}

	for _, tc := range []struct {
		header, body string
		status       int
	}{
		{"bytes=0-3", "0123", http.StatusPartialContent},
		{"bytes=10-", "abcdef", http.StatusPartialContent},
		{"bytes=-2", "ef", http.StatusPartialContent},
		{"bytes=99-", "", http.StatusRequestedRangeNotSatisfiable},
	} {
		resp, body := fetch(t, http.MethodGet, address, "Range", tc.header)
		if resp.StatusCode != tc.status || tc.body != "" && body != tc.body {
			t.Errorf("GET of %s: got %s %q, want %d %q", tc.header, resp.Status, body, tc.status, tc.body)
		}
	}

	if err := d.Bucket.Delete(t.Context(), "links/file.zip"); err != nil {
		t.Fatal(err)
	}
	if resp, _ := fetch(t, http.MethodGet, address); resp.StatusCode != http.StatusNotFound {
		t.Errorf("GET of a deleted file: got %s, want 404", resp.Status)
	}
}

func testLinkExpiry(t *testing.T, d Driver) {
	if !d.Links {
		return
	}
	put(t, d.Bucket, "links/file.zip", []byte("secret"))
	for _, tc := range []struct {
		name     string
		made     time.Duration // from now
		lifetime time.Duration
		want     int
	}{
		{"fresh", 0, 10 * time.Second, http.StatusOK},
		{"nearly over", -50 * time.Second, time.Minute, http.StatusOK},
		{"just over", -time.Minute - time.Second, time.Minute, http.StatusForbidden},
		{"long over", -48 * time.Hour, time.Hour, http.StatusForbidden},
	} {
		d.Shift(tc.made)
		l := goodLink
		l.Lifetime = tc.lifetime
		address := link(t, d.Bucket, "links/file.zip", l)
		d.Shift(0)
		resp, body := fetch(t, http.MethodGet, address)
		if resp.StatusCode != tc.want || tc.want != http.StatusOK && strings.Contains(body, "secret") {
			t.Errorf("%s: got %s, want %d", tc.name, resp.Status, tc.want)
		}
	}
}

// testLinkTampered changes each thing that a link says, one at a time.
func testLinkTampered(t *testing.T, d Driver) {
	if !d.Links {
		return
	}
	put(t, d.Bucket, "links/one.zip", []byte("one"))
	put(t, d.Bucket, "links/two.zip", []byte("secret"))
	address := link(t, d.Bucket, "links/one.zip", goodLink)
	refused := func(what, method, address string) {
		t.Helper()
		resp, body := fetch(t, method, address)
		if resp.StatusCode < 400 || resp.StatusCode > 499 || strings.Contains(body, "secret") {
			t.Errorf("%s: got %s %q, want a refusal", what, resp.Status, body)
		}
	}
	refused("another key", http.MethodGet, strings.Replace(address, "/one.zip", "/two.zip", 1))
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range u.Query() {
		for what, value := range map[string]string{
			"longer":  values[0] + "1",
			"shorter": values[0][:len(values[0])-1],
			"higher":  "9" + values[0],
		} {
			query := u.Query()
			query.Set(name, value)
			changed := *u
			changed.RawQuery = query.Encode()
			refused(name+" made "+what, http.MethodGet, changed.String())
		}
		query := u.Query()
		query.Del(name)
		changed := *u
		changed.RawQuery = query.Encode()
		refused("no "+name, http.MethodGet, changed.String())
	}
	for _, method := range []string{http.MethodPut, http.MethodPost, http.MethodDelete, http.MethodPatch} {
		refused(method, method, address)
	}
	wantFile(t, d.Bucket, "links/one.zip", []byte("one"))
}
