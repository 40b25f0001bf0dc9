package local

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"lethe/shared/blob"
	"lethe/shared/kind"
)

// FilesPath is the path below which a server has to mount a Directory for its
// links to work.
const FilesPath = "/files/"

// Link implements blob.Bucket.
func (d *Directory) Link(ctx context.Context, key string, l blob.Link) (string, error) {
	const op = "make a link"
	if err := checkKeys(ctx, key); err != nil {
		return "", kind.Wrap(op, err)
	}
	if err := l.Check(); err != nil {
		return "", kind.Wrap(op, err)
	}
	expires := strconv.FormatInt(d.now().Add(l.Lifetime).Unix(), 10)
	query := url.Values{
		"expires":   {expires},
		"filename":  {l.Filename},
		"type":      {l.Type},
		"signature": {d.sign(http.MethodGet, key, expires, l.Filename, l.Type)},
	}
	return strings.TrimSuffix(d.base(), "/") + FilesPath + key + "?" + query.Encode(), nil
}

// sign returns the HMAC over fields, each led by its length so that no byte can
// pass from one to the next.
func (d *Directory) sign(fields ...string) string {
	mac := hmac.New(sha256.New, d.key)
	for _, field := range fields {
		mac.Write(binary.BigEndian.AppendUint64(nil, uint64(len(field))))
		_, _ = io.WriteString(mac, field)
	}
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// ServeHTTP answers GET and HEAD of the links that Link makes, whole or in
// ranges, always as an attachment that no cache keeps. What is wrong with a link
// it answers in one sentence: 403 for a link that is not one of these or has
// expired, 404 for a file that is gone, 405 for another method.
func (d *Directory) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "private, no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		h.Set("Allow", "GET, HEAD")
		http.Error(w, "A file can only be fetched: use GET.", http.StatusMethodNotAllowed)
		return
	}
	key, ok := strings.CutPrefix(r.URL.Path, FilesPath)
	query := r.URL.Query()
	expires, filename, media := query.Get("expires"), query.Get("filename"), query.Get("type")
	want := d.sign(http.MethodGet, key, expires, filename, media)
	if !ok || !hmac.Equal([]byte(query.Get("signature")), []byte(want)) {
		http.Error(w, "This link is not complete or was changed: ask for a fresh one.", http.StatusForbidden)
		return
	}
	until, err := strconv.ParseInt(expires, 10, 64)
	if err != nil || d.now().Unix() >= until {
		http.Error(w, "This link has expired: ask for a fresh one.", http.StatusForbidden)
		return
	}
	f, info, err := d.open(key)
	if nothingThere(err) {
		http.Error(w, "This file is no longer kept: make a new request for it.", http.StatusNotFound)
		return
	}
	if err != nil {
		http.Error(w, "The file cannot be read just now: try again later.", http.StatusServiceUnavailable)
		return
	}
	defer f.Close()
	h.Set("Content-Disposition", blob.Link{Filename: filename}.Disposition())
	h.Set("Content-Type", media)
	http.ServeContent(w, r, "", info.ModTime(), f)
}
