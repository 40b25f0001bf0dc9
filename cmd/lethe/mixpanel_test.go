package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMixpanelScripts runs the command lines in testdata/mixpanel against a server that
// answers as Mixpanel's published description of its GDPR API says, and has nothing that
// is not there. The commands reach it as mixpanel.com, through a proxy.
func TestMixpanelScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/mixpanel",
		Setup: func(e *testscript.Env) error {
			certificate, roots, err := certified("mixpanel.com", "api.mixpanel.com")
			if err != nil {
				return err
			}
			m := &mixpanel{requests: map[string]mixpanelRequest{}}
			server := httptest.NewUnstartedServer(m)
			server.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
			server.StartTLS()
			e.Defer(server.Close)
			proxy := httptest.NewServer(tunnel(server.Listener.Addr().String()))
			e.Defer(proxy.Close)
			for name, value := range map[string]string{
				"PATH": os.Getenv("PATH"), "HOME": e.WorkDir, "XDG_CONFIG_HOME": filepath.Join(e.WorkDir, "config"),
				"HTTPS_PROXY": proxy.URL, "SSL_CERT_FILE": filepath.Join(e.WorkDir, "roots.pem"),
				"LETHE_URL": "https://mixpanel.com", "LETHE_PROJECT_TOKEN": "the-project", "LETHE_TOKEN": "the-token",
			} {
				e.Setenv(name, value)
			}
			return os.WriteFile(filepath.Join(e.WorkDir, "roots.pem"), roots, 0o600)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": exits},
	})
}

// A mixpanel is what the description says. The first export of an identifier "lost" is
// taken, and its answer is not sent; the first of "early" comes too soon, as is said in
// words that are no JSON. A deletion of "quick" has ended at once.
type mixpanel struct {
	mu          sync.Mutex
	requests    map[string]mixpanelRequest
	lost, early bool
}

type mixpanelRequest struct {
	kind, status string
	ids          []string
}

func (m *mixpanel) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m.mu.Lock()
	defer m.mu.Unlock()
	answer := func(status int, results any) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		if status >= 400 {
			_ = json.NewEncoder(w).Encode(map[string]any{"status": "error", "error": results})
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"status": "ok", "results": results})
	}
	if r.Host == "api.mixpanel.com" {
		if user, _, _ := r.BasicAuth(); user != "the-secret" || r.URL.Path != "/import" {
			answer(401, "Unauthorized")
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"code":200,"num_records_imported":1,"status":"OK"}`)
		return
	}
	if r.URL.Path == "/files/export.zip" {
		_, _ = io.WriteString(w, "an archive of Mixpanel")
		return
	}
	kind, task, _ := strings.Cut(strings.Trim(strings.TrimPrefix(r.URL.Path, "/api/app/"), "/"), "/v3.0")
	task = strings.Trim(task, "/")
	request, known := m.requests[task]
	known = known && request.kind == kind
	switch {
	case kind != "data-retrievals" && kind != "data-deletions":
		http.NotFound(w, r)
	case r.Header.Get("Authorization") != "Bearer the-token":
		answer(401, "Unauthorized")
	case r.URL.Query().Get("token") != "the-project":
		answer(403, "Forbidden")
	case r.Method == "POST" && task == "":
		m.create(w, r, kind, answer)
	case r.Method == "GET" && task != "" && !known:
		answer(200, map[string]any{"status": "NOT_FOUND"})
	case r.Method == "GET" && known && kind == "data-retrievals":
		answer(200, map[string]any{"status": request.status, "results": "mixpanel.com/files/export.zip", "distinct_ids": request.ids})
	case r.Method == "GET" && known:
		answer(200, map[string]any{
			"tracking_id": task, "status": request.status, "requesting_user": "user@mail.com", "compliance_type": "GDPR",
			"project_id": 7, "date_requested": "2026-01-31T10:00:00", "distinct_ids": request.ids,
		})
	case r.Method == "DELETE" && known && kind == "data-deletions":
		request.status = "REVOKED"
		m.requests[task] = request
		w.WriteHeader(http.StatusNoContent)
	default:
		w.WriteHeader(http.StatusMethodNotAllowed)
	}
}

// create takes a request in that has no member which the description does not have.
func (m *mixpanel) create(w http.ResponseWriter, r *http.Request, kind string, answer func(int, any)) {
	var body map[string]any
	if json.NewDecoder(r.Body).Decode(&body) != nil {
		answer(400, "no JSON")
		return
	}
	members := []string{"distinct_ids", "compliance_type", "subject_request_id"}
	if kind == "data-retrievals" {
		members = append(members, "disclosure_type")
	}
	for name := range body {
		if !slices.Contains(members, name) {
			answer(400, "there is no "+name)
			return
		}
	}
	if r.Header.Get("Idempotency-Key") != "" {
		answer(400, "there are no keys")
		return
	}
	var ids []string
	for _, id := range body["distinct_ids"].([]any) {
		ids = append(ids, id.(string))
	}
	if ids[0] == "early" && !m.early {
		m.early = true
		w.Header().Set("Retry-After", "1")
		http.Error(w, "Too Many Requests", http.StatusTooManyRequests)
		return
	}
	task := fmt.Sprint("task-", len(m.requests)+1)
	status := map[string]string{"data-retrievals": "SUCCESS", "data-deletions": "PENDING"}[kind]
	if ids[0] == "quick" {
		status = "SUCCESS"
	}
	m.requests[task] = mixpanelRequest{kind, status, ids}
	if ids[0] == "lost" && !m.lost {
		m.lost = true
		panic(http.ErrAbortHandler)
	}
	answer(201, map[string]any{"task_id": task})
}

// certified makes a certificate for hosts, and what trusts it.
func certified(hosts ...string) (tls.Certificate, []byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: hosts, NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), err
}

// tunnel is a proxy that leads every CONNECT to one address.
func tunnel(to string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		there, err := net.Dial("tcp", to)
		if err != nil || r.Method != http.MethodConnect {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		defer there.Close()
		// The answer comes after: the server would read on meanwhile what then is sent.
		here, ahead, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer here.Close()
		_, _ = io.WriteString(here, "HTTP/1.1 200 OK\r\n\r\n")
		go func() { _, _ = io.Copy(there, ahead) }() // what was read ahead first; ends with the connection
		_, _ = io.Copy(here, there)
	}
}
