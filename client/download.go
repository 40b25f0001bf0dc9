package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"
)

// A File is what Download writes to: an empty one.
type File interface {
	io.Writer
	io.Seeker
	Truncate(size int64) error
}

var _ File = (*os.File)(nil)

// stalls is how long a download may bring nothing.
const stalls = time.Minute

// Download writes the archive of an export that has ended well to f. Where the line
// breaks it goes on from there, over a fresh link, for as long as each try brings
// something; told is called with the bytes so far and in all (-1 where nobody knows).
// Compare the archive with its own manifest afterwards.
func (c *Client) Download(ctx context.Context, task string, f File, told func(sofar, all int64)) error {
	var sofar int64
	mark := ""
	for dry := 0; ; {
		_, link, err := c.Status(ctx, Export, task)
		if err != nil {
			return err
		}
		if link == "" {
			return &Error{Status: http.StatusGone, Sentence: "There is no archive: the request has not ended well, or its archive was taken back or has expired."}
		}
		before := sofar
		var done bool
		done, err = c.fetch(ctx, link, f, &sofar, &mark, told)
		var answered *Error
		if done || ctx.Err() != nil || errors.As(err, &answered) && answered.Status < http.StatusInternalServerError {
			return err
		}
		if dry++; sofar > before {
			dry = 0
		}
		if dry == 5 {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Duration(dry+1) * 300 * time.Millisecond):
		}
	}
}

// fetch gets what is left of the file behind a link. Mark tells one version of the file
// from another: of another version it begins anew.
func (c *Client) fetch(ctx context.Context, link string, f File, sofar *int64, mark *string, told func(sofar, all int64)) (done bool, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if !strings.Contains(link, "://") {
		link = "https://" + link
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, link, nil)
	if err != nil || r.URL.Scheme != "https" && !here(r.URL.Hostname()) {
		return true, errors.New("the server answered with a link that is none of https")
	}
	if *sofar > 0 && *mark != "" {
		r.Header.Set("Range", fmt.Sprintf("bytes=%d-", *sofar))
		r.Header.Set("If-Range", *mark)
	}
	line := *c.config.HTTP
	line.Timeout = 0 // an archive may be large; one that brings nothing is given up
	answer, err := line.Do(r)
	if err != nil {
		return false, unanswered(ctx, err)
	}
	defer answer.Body.Close()
	switch answer.StatusCode {
	case http.StatusPartialContent:
		// What is not the rest would be put behind the wrong bytes: begin anew.
		if *sofar == 0 || !strings.HasPrefix(answer.Header.Get("Content-Range"), fmt.Sprintf("bytes %d-", *sofar)) {
			*mark = ""
			return false, errors.New("the server sent another part of the archive than it was asked for")
		}
	case http.StatusOK:
		if err := f.Truncate(0); err != nil {
			return true, err
		}
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return true, err
		}
		*sofar, *mark = 0, answer.Header.Get("ETag")
		if *mark == "" {
			*mark = answer.Header.Get("Last-Modified")
		}
	default:
		return false, refusal(answer)
	}
	all := int64(-1)
	if answer.ContentLength >= 0 {
		all = *sofar + answer.ContentLength
	}
	stalled := time.AfterFunc(stalls, func() { cancel(errors.New("the download stands still")) })
	defer stalled.Stop()
	buffer := make([]byte, 64<<10)
	for {
		n, err := answer.Body.Read(buffer)
		if n > 0 {
			stalled.Reset(stalls)
			if _, err := f.Write(buffer[:n]); err != nil {
				return true, err
			}
			*sofar += int64(n)
			told(*sofar, all)
		}
		if err == io.EOF {
			return true, nil
		}
		if err != nil {
			return false, unanswered(ctx, err)
		}
	}
}
