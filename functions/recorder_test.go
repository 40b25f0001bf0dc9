package functions_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"

	"lethe/shared/cloud/cloudtest"
)

// A call is one thing that AWS would look up in the policies of a role.
type call struct{ action, resource string }

// engines are what plays AWS: an address for the service that a request is signed
// for, and one under "" for all others.
type engines map[string]string

func (e engines) of(service string) *url.URL {
	address, own := e[service]
	if !own {
		address = e[""]
	}
	u, _ := url.Parse(address) // the engines' starters make them
	return u
}

// A recorder is AWS to a function: it notes its calls and passes them on to the
// engines. The links to files that the function signs lead here too, so to follow
// one is a call of the function's role, as on AWS.
type recorder struct {
	server  *httptest.Server
	mu      sync.Mutex
	calls   map[call]bool
	odd     []string // what it could not tell
	refuses string   // the action that it refuses next
	meter   *meter   // nil where nothing is metered
}

func record(t testing.TB, to engines) *recorder {
	t.Helper()
	r := &recorder{calls: map[call]bool{}}
	proxy := &httputil.ReverseProxy{Rewrite: func(p *httputil.ProxyRequest) {
		p.SetURL(to.of(signedFor(p.In)))
		p.Out.Host = p.In.Host // it is signed too
	}, ModifyResponse: func(out *http.Response) error { return r.measured().answer(out) }}
	r.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, in *http.Request) {
		body, err := io.ReadAll(in.Body)
		if err != nil {
			return
		}
		in, body = r.measured().request(in, body)
		in.Body, in.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		if r.note(requested(in, body)) {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		proxy.ServeHTTP(w, in)
	}))
	t.Cleanup(r.server.Close)
	return r
}

// note keeps what a request amounts to, and reports whether to refuse it.
func (r *recorder) note(calls []call, err error) (refused bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		r.odd = append(r.odd, err.Error())
	}
	for _, c := range calls {
		r.calls[c] = true
	}
	if len(calls) == 1 && calls[0].action == r.refuses {
		r.refuses = ""
		return true
	}
	return false
}

// measure has a meter count from now on.
func (r *recorder) measure(m *meter) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.meter = m
}

func (r *recorder) measured() *meter {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.meter
}

// refuse makes the next call of an action fail.
func (r *recorder) refuse(action string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.refuses = action
}

// signedFor is the service in the scope of a request's signature, or of a link's:
// the key, the day, the region, the service and "aws4_request".
func signedFor(r *http.Request) string {
	scope := r.URL.Query().Get("X-Amz-Credential")
	if _, after, ok := strings.Cut(r.Header.Get("Authorization"), "Credential="); ok {
		scope, _, _ = strings.Cut(after, ",")
	}
	if parts := strings.Split(scope, "/"); len(parts) == 5 {
		return parts[3]
	}
	return ""
}

// requested tells which calls a request amounts to.
func requested(r *http.Request, body []byte) ([]call, error) {
	service := signedFor(r)
	switch service {
	case "s3":
		return requestedOfS3(r, body)
	case "ses":
		identity := arn("ses", "identity/"+mailDomain)
		return []call{{"ses:SendEmail", identity}, {"ses:SendRawEmail", identity}}, nil
	}
	_, action, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	var in struct {
		TableName, IndexName string
		RequestItems         map[string]json.RawMessage
		TransactItems        []map[string]struct{ TableName string }
		Name                 string
		StateMachineArn      string
		ExecutionArn         string
	}
	if err := json.Unmarshal(body, &in); err != nil {
		return nil, fmt.Errorf("%s of %q: the body is not JSON", action, service)
	}
	switch service {
	case "dynamodb":
		if action == "TransactWriteItems" {
			var all []call
			for _, item := range in.TransactItems {
				for verb, op := range item {
					all = append(all, call{"dynamodb:" + transactActions[verb], tableARN(op.TableName)})
				}
			}
			return all, nil
		}
		if len(in.RequestItems) > 0 {
			var all []call
			for table := range in.RequestItems {
				all = append(all, call{"dynamodb:" + action, tableARN(table)})
			}
			return all, nil
		}
		resource := tableARN(in.TableName)
		if in.IndexName != "" {
			resource += "/index/" + in.IndexName
		}
		return []call{{"dynamodb:" + action, resource}}, nil
	case "states":
		return []call{{"states:" + action, in.StateMachineArn + in.ExecutionArn}}, nil
	case "ssm":
		return []call{{"ssm:" + action, arn("ssm", "parameter"+in.Name)}}, nil
	case "kms":
		return []call{{"kms:" + action, arn("kms", "key/lethe")}}, nil
	}
	return nil, fmt.Errorf("%s of the service %q", action, service)
}

// transactActions are what the parts of a transaction count for.
var transactActions = map[string]string{
	"Put": "PutItem", "Update": "UpdateItem", "Delete": "DeleteItem", "ConditionCheck": "ConditionCheckItem",
}

func requestedOfS3(r *http.Request, body []byte) ([]call, error) {
	name, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	of := "arn:aws:s3:::" + name
	query := r.URL.Query()
	if key == "" {
		switch {
		case query.Has("list-type"):
			return []call{{"s3:ListBucket", of + "?" + query.Get("prefix")}}, nil
		case query.Has("uploads"):
			return []call{{"s3:ListBucketMultipartUploads", of + "?" + query.Get("prefix")}}, nil
		case query.Has("delete"):
			var in struct{ Object []struct{ Key string } }
			if err := xml.Unmarshal(body, &in); err != nil {
				return nil, fmt.Errorf("the list of files to delete is not XML")
			}
			var all []call
			for _, o := range in.Object {
				all = append(all, call{"s3:DeleteObject", of + "/" + o.Key})
			}
			return all, nil
		}
		return nil, fmt.Errorf("%s of the bucket", r.Method)
	}
	calls := []call{{"", of + "/" + key}}
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		calls[0].action = "s3:GetObject"
	case http.MethodPut, http.MethodPost:
		calls[0].action = "s3:PutObject"
		if from := r.Header.Get("X-Amz-Copy-Source"); from != "" {
			calls = append(calls, call{"s3:GetObject", "arn:aws:s3:::" + strings.TrimPrefix(from, "/")})
		}
	case http.MethodDelete:
		calls[0].action = "s3:DeleteObject"
		if query.Has("uploadId") {
			calls[0].action = "s3:AbortMultipartUpload"
		}
	default:
		return nil, fmt.Errorf("%s of a file", r.Method)
	}
	return calls, nil
}

const arnOfBucket = "arn:aws:s3:::" + bucket

func arn(service, rest string) string {
	return "arn:aws:" + service + ":" + cloudtest.Region + ":" + cloudtest.Account + ":" + rest
}

func tableARN(name string) string { return arn("dynamodb", "table/"+name) }
