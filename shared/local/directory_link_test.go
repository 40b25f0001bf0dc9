package local

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"lethe/shared/blob"
)

func TestDirectoryServes(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	d := openDirectory(t, t.TempDir(), func() time.Time { return now })
	putFile(t, d, "exports/1.html", "<script>")
	link := func(key string) string {
		address, err := d.Link(t.Context(), key, blob.Link{Lifetime: 15 * time.Minute, Filename: `M "1".html`, Type: "text/html; charset=utf-8"})
		if err != nil {
			t.Fatal(err)
		}
		return address
	}
	good, gone := link("exports/1.html"), link("exports/2.html")
	if !strings.HasPrefix(good, "http://127.0.0.1:8080/files/exports/1.html?") {
		t.Errorf("the link is %q", good)
	}
	for _, tc := range []struct {
		name, method, address string
		at                    time.Duration
		status                int
		body                  string // that it has to hold
	}{
		{"get", http.MethodGet, good, 0, http.StatusOK, "<script>"},
		{"head", http.MethodHead, good, 0, http.StatusOK, ""},
		{"last second", http.MethodGet, good, 15*time.Minute - time.Second, http.StatusOK, "<script>"},
		{"expired", http.MethodGet, good, 15 * time.Minute, http.StatusForbidden, "expired"},
		{"changed", http.MethodGet, good + "A", 0, http.StatusForbidden, "changed"},
		{"not signed", http.MethodGet, "/files/exports/1.html", 0, http.StatusForbidden, "not complete"},
		{"a path out", http.MethodGet, "/files/../exports/1.html", 0, http.StatusForbidden, "not complete"},
		{"elsewhere", http.MethodGet, strings.Replace(good, "/files/", "/other/", 1), 0, http.StatusForbidden, "not complete"},
		{"gone", http.MethodGet, gone, 0, http.StatusNotFound, "no longer"},
		{"post", http.MethodPost, good, 0, http.StatusMethodNotAllowed, "GET"},
		{"delete", http.MethodDelete, good, 0, http.StatusMethodNotAllowed, "GET"},
	} {
		now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).Add(tc.at)
		w := httptest.NewRecorder()
		d.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), tc.method, tc.address, nil))
		if w.Code != tc.status || !strings.Contains(w.Body.String(), tc.body) {
			t.Errorf("%s: got %d %q, want %d with %q", tc.name, w.Code, w.Body, tc.status, tc.body)
		}
		want := map[string]string{
			"Cache-Control":          "private, no-store",
			"Referrer-Policy":        "no-referrer",
			"X-Content-Type-Options": "nosniff",
			"Content-Type":           "text/plain; charset=utf-8",
		}
		switch tc.status {
		case http.StatusOK:
			want["Content-Type"] = "text/html; charset=utf-8"
			want["Content-Disposition"] = `attachment; filename="M _1_.html"; filename*=UTF-8''M%20%221%22.html`
			want["Content-Length"] = "8"
		case http.StatusMethodNotAllowed:
			want["Allow"] = "GET, HEAD"
		}
		for name, value := range want {
			if got := w.Header().Get(name); got != value {
				t.Errorf("%s: %s: got %q, want %q", tc.name, name, got, value)
			}
		}
	}
}

// A link of one directory is none of another with its own key, and bytes cannot
// pass from one signed field to the next.
func TestDirectoryLinkBindsKeyAndFields(t *testing.T) {
	ours := openDirectory(t, t.TempDir(), time.Now)
	theirs, err := OpenDirectory(t.TempDir(), []byte(strings.Repeat("k", 32)), func() string { return "" }, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	defer theirs.Close()
	putFile(t, ours, "a", "x")
	for name, signature := range map[string]string{
		"another key":    theirs.sign(http.MethodGet, "a", "9999999999", "name", "text/plain"),
		"another method": ours.sign(http.MethodPut, "a", "9999999999", "name", "text/plain"),
		"shifted fields": ours.sign(http.MethodGet, "a", "9999999999", "nam", "etext/plain"),
		"none":           "",
		"the right one":  ours.sign(http.MethodGet, "a", "9999999999", "name", "text/plain"),
	} {
		query := url.Values{"expires": {"9999999999"}, "filename": {"name"}, "type": {"text/plain"}, "signature": {signature}}
		w := httptest.NewRecorder()
		ours.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/files/a?"+query.Encode(), nil))
		want := http.StatusForbidden
		if name == "the right one" {
			want = http.StatusOK
		}
		if w.Code != want {
			t.Errorf("signed with %s: got %d, want %d", name, w.Code, want)
		}
	}
}
