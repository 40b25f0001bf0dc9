package client_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"lethe/client"
)

func TestNothingFollowsARedirectElsewhere(t *testing.T) {
	var body, token string
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		body, token = string(b), r.Header.Get("Authorization")
		w.WriteHeader(http.StatusTeapot)
	}))
	defer other.Close()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, other.URL+r.URL.Path, http.StatusTemporaryRedirect)
	}))
	defer server.Close()
	c, err := client.New(client.Config{URL: server.URL, Project: "p", Token: "secret", Patience: -1 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Submit(t.Context(), client.Deletion, client.Ask{IDs: []string{"ada"}})
	if err == nil || body != "" || token != "" {
		t.Errorf("another server got body %q and token %q (error %v)", body, token, err)
	}
}
