package main

import (
	"encoding/json"
	"fmt"
	"io"

	"lethe/shared/dsr"
	"lethe/shared/kind"
)

// announce tells that the server is ready, to a program in one line of JSON, else
// to a person. Without a demo there are no credentials to tell: they were shown
// once, when they were made.
func announce(out io.Writer, url string, s settings, f first) error {
	if s.json {
		return announceJSON(out, url, s.base(url), f)
	}
	if f.project != nil {
		_, err := fmt.Fprintf(out, `Lethe is ready at %[1]s, data in %[2]s. Ctrl-C stops it.

  owner          %[3]s
  project        %[4]s
  project token  %[5]s

Sign in, within 15 minutes:  %[6]s
Another link:                lethe sign-in %[3]s --data %[2]s --url %[7]s
A token for the GDPR API:    lethe token make %[3]s --data %[2]s
`, url, s.data, f.owner, f.project.ID, f.project.Token, dsr.LinkURL(s.base(url), f.link), s.base(url))
		return err
	}
	d := f.demo
	if d == nil {
		_, err := fmt.Fprintf(out, "Lethe is ready at %[1]s, data in %[2]s. Ctrl-C stops it.\nTo sign in: lethe sign-in EMAIL --data %[2]s --url %[3]s\n", url, s.data, s.base(url))
		return err
	}
	_, err := fmt.Fprintf(out, `Lethe is ready: a demo with made-up data, for this machine only. Ctrl-C stops it.

  address        %[1]s
  project token  %[2]s
  GDPR token     %[3]s
  data in        %[4]s
  sign in        %[6]s

Send an event, ask for a copy of one person's data, and download it:

curl -s '%[1]s/track?verbose=1' -H 'Content-Type: application/json' -d '[{"event":"Page View","properties":{"token":"%[2]s","distinct_id":"%[5]s","path":"/from-curl"}}]'

task=$(curl -s -X POST '%[1]s/api/app/data-retrievals/v3.0/?token=%[2]s' -H 'Authorization: Bearer %[3]s' -d '{"distinct_ids":["%[5]s"],"compliance_type":"GDPR"}' | sed 's/.*"task_id":"\([^"]*\)".*/\1/'); echo "$task"

curl -sfL --retry 20 --retry-delay 1 --retry-all-errors '%[1]s/api/app/data-retrievals/v3.0/'"$task"'/download?token=%[2]s' -H 'Authorization: Bearer %[3]s' -o export.zip && ls -l export.zip

The same by this program, where it is on the path (lethe --help shows the rest):

LETHE_TOKEN='%[3]s' lethe login --url '%[1]s' --project-token '%[2]s' && lethe export '%[5]s' -o person.zip && lethe open person.zip
`, url, d.ProjectToken, d.GDPRToken, s.data, d.Subject, dsr.LinkURL(s.base(url), f.link))
	return err
}

// announceJSON keeps its keys for good: scripts read them.
func announceJSON(out io.Writer, url, base string, f first) error {
	line := struct {
		URL          string      `json:"url"`
		ProjectID    json.Number `json:"project_id,omitempty"` // a number, as in the GDPR API
		ProjectToken string      `json:"project_token,omitempty"`
		APISecret    string      `json:"api_secret,omitempty"`
		GDPRToken    string      `json:"gdpr_token,omitempty"`
		SignIn       string      `json:"sign_in,omitempty"` // works once, within 15 minutes
	}{URL: url}
	if f.link != "" {
		line.SignIn = dsr.LinkURL(base, f.link)
	}
	if f.project != nil {
		line.ProjectID, line.ProjectToken = json.Number(f.project.ID), f.project.Token
	}
	if d := f.demo; d != nil {
		line.ProjectID = json.Number(d.ProjectID)
		line.ProjectToken, line.APISecret, line.GDPRToken = d.ProjectToken, d.APISecret, d.GDPRToken
	}
	b, err := json.Marshal(line)
	if err != nil {
		return kind.E(kind.Internal, "encode the line for programs", err)
	}
	_, err = out.Write(append(b, '\n'))
	return err
}
