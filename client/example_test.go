package client_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"time"

	"lethe/client"
)

// lethe answers what the examples ask, as a server would.
func lethe() *httptest.Server {
	asked := 0
	mux := http.NewServeMux()
	answer := func(pattern string, text func() string) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, text()) })
	}
	answer("POST /api/app/data-retrievals/v3.0/", func() string {
		return `{"status":"ok","results":{"task_id":"6f1d","status":"PENDING","distinct_id_count":1}}`
	})
	answer("GET /api/app/data-retrievals/v3.0/{task}/", func() string {
		if asked++; asked == 1 {
			return `{"status":"ok","results":{"status":"STARTED","result":"","distinct_ids":["ada"]}}`
		}
		return `{"status":"ok","results":{"status":"SUCCESS","result":"` + address + `/archive.zip","distinct_ids":["ada"]}}`
	})
	answer("GET /archive.zip", func() string { return "the archive" })
	mux.HandleFunc("DELETE /api/app/data-deletions/v3.0/{task}/", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusMethodNotAllowed)
		_, _ = io.WriteString(w, `{"status":"error","error":"The deletion has begun and cannot be cancelled any more."}`)
	})
	server := httptest.NewServer(mux)
	address = server.URL
	return server
}

var address string

func connect(server *httptest.Server) *client.Client {
	c, err := client.New(client.Config{URL: server.URL, Project: "project token", Token: "GDPR token"})
	if err != nil {
		log.Fatal(err)
	}
	return c
}

// A copy of a person's data is asked for, waited for and fetched.
func Example() {
	server := lethe()
	defer server.Close()
	c, ctx := connect(server), context.Background()

	r, err := c.Submit(ctx, client.Export, client.Ask{IDs: []string{"ada"}, Compliance: "GDPR", Key: "ticket 4711"})
	if err != nil {
		log.Fatal(err)
	}
	_, err = c.Wait(ctx, client.Export, r.Task, time.Millisecond, func(r client.Request) { fmt.Println(r.Status) })
	if err != nil {
		log.Fatal(err)
	}
	file, err := os.CreateTemp("", "export-*.zip")
	if err != nil {
		log.Fatal(err)
	}
	defer os.Remove(file.Name())
	if err := c.Download(ctx, r.Task, file, func(sofar, all int64) { fmt.Println(sofar, "of", all, "bytes") }); err != nil {
		log.Fatal(err)
	}
	// Output:
	// STARTED
	// SUCCESS
	// 11 of 11 bytes
}

// What a server refuses is an Error, whose sentence says why.
func ExampleError() {
	server := lethe()
	defer server.Close()

	err := connect(server).Cancel(context.Background(), "6f1d")
	fmt.Println(err)
	// Output: The deletion has begun and cannot be cancelled any more.
}

// Tokens and personal data go over plain HTTP on this machine alone.
func ExampleNew() {
	_, err := client.New(client.Config{URL: "http://lethe.example.com"})
	fmt.Println(err)
	// Output: the address of the server must begin with https://, since tokens and personal data go there; http:// does only for this machine
}
