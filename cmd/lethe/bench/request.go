package main

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// poll is how often a request is asked for; waits are measured to that.
const poll = 5 * time.Millisecond

// A submission is a request that was accepted.
type submission struct {
	calls, task string
	sent        time.Time     // when the try that was accepted began
	answered    time.Duration // how long after sent
}

// submit makes a request about ids. Where the limit on requests a second says so,
// it waits and tries again.
func (s *server) submit(ctx context.Context, calls string, ids []string) (submission, error) {
	body, err := json.Marshal(map[string]any{"distinct_ids": ids, "compliance_type": "GDPR"})
	if err != nil {
		return submission{}, err
	}
	for {
		var answer struct {
			Results struct {
				Task string `json:"task_id"`
			}
		}
		sent := time.Now()
		status, err := s.call(ctx, http.MethodPost, "/api/app/"+calls+"/v3.0/?token="+s.Token, bytes.NewReader(body), s.bearer, &answer)
		if status != http.StatusTooManyRequests {
			return submission{calls, answer.Results.Task, sent, time.Since(sent)}, err
		}
		select {
		case <-ctx.Done():
			return submission{}, ctx.Err()
		case <-time.After(time.Second):
		}
	}
}

// ended waits until a request has ended as it should, and returns how long after
// its submission that was.
func (s *server) ended(ctx context.Context, sub submission, as string) (time.Duration, error) {
	for {
		var answer struct{ Results struct{ Status string } }
		if _, err := s.call(ctx, http.MethodGet, "/api/app/"+sub.calls+"/v3.0/"+sub.task+"/?token="+s.Token, nil, s.bearer, &answer); err != nil {
			return 0, err
		}
		switch status := answer.Results.Status; status {
		case as:
			return time.Since(sub.sent), nil
		case "SUCCESS", "FAILURE", "REVOKED":
			return 0, fmt.Errorf("a request ended %s, not %s", status, as)
		}
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(poll):
		}
	}
}

// steps prints when a request changed its status.
func (s *server) steps(ctx context.Context, sub submission) error {
	var answer struct {
		Results struct {
			Timeline []struct {
				Status, Date string
			}
		}
	}
	if _, err := s.call(ctx, http.MethodGet, "/api/app/requests/"+sub.task+"?token="+s.Token, nil, s.bearer, &answer); err != nil {
		return err
	}
	fmt.Printf("%-56s", "")
	for _, step := range answer.Results.Timeline {
		at, err := time.Parse("2006-01-02T15:04:05.999999", step.Date)
		if err != nil {
			return err
		}
		fmt.Printf(" %s at %.3f s", step.Status, at.Sub(sub.sent).Seconds())
	}
	fmt.Println()
	return nil
}

func (s *server) bearer(r *http.Request) { r.Header.Set("Authorization", "Bearer "+s.GDPR) }

// archived downloads an export and prints its size, and what deflating its
// contents alone takes, to compare the processor time with.
func archived(ctx context.Context, s *server, task string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+"/api/app/data-retrievals/v3.0/"+task+"/download?token="+s.Token, nil)
	if err != nil {
		return err
	}
	s.bearer(r)
	answer, err := s.http.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("download: %s", answer.Status)
	}
	file, err := os.Create(filepath.Join(s.dir, "export.zip"))
	if err != nil {
		return err
	}
	defer file.Close()
	size, err := io.Copy(file, answer.Body)
	if err != nil {
		return err
	}
	entries, err := zip.NewReader(file, size)
	if err != nil {
		return err
	}
	var contents int64
	var deflating time.Duration
	deflater, err := flate.NewWriter(io.Discard, flate.DefaultCompression)
	if err != nil {
		return err
	}
	for _, e := range entries.File {
		opened, err := e.Open()
		if err != nil {
			return err
		}
		b, err := io.ReadAll(opened)
		if err != nil {
			return err
		}
		contents += int64(len(b))
		began := time.Now()
		deflater.Reset(io.Discard)
		if _, err := deflater.Write(b); err != nil {
			return err
		}
		if err := deflater.Close(); err != nil {
			return err
		}
		deflating += time.Since(began)
	}
	fmt.Printf("%-56s %.1f MB in %d entries holding %.1f MB; deflating those alone takes %.2f s\n", "", float64(size)/1e6,
		len(entries.File), float64(contents)/1e6, deflating.Seconds())
	return nil
}
