package functions_test

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"maps"
	"mime"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-lambda-go/events"

	"lethe/shared/cloud/cloudtest"
)

// A gateway is the HTTP API of template.yaml: it hands a request to the function
// of its route, as an event of payload version 2.0, and answers what the function
// answers:
// https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
type gateway struct {
	routes  map[string]string // a function by the key of its route
	running map[string]*cloudtest.Function
}

// ServeHTTP implements http.Handler.
func (g *gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	in, err := g.event(r)
	if err != nil {
		return // the client has gone
	}
	payload, err := json.Marshal(in)
	if err != nil {
		panic(err)
	}
	var out events.APIGatewayV2HTTPResponse
	got, err := g.running[g.routes[in.RouteKey]].Invoke(r.Context(), payload)
	if err != nil || got.Failed || json.Unmarshal(got.Body, &out) != nil {
		w.WriteHeader(http.StatusInternalServerError)
		_, _ = io.WriteString(w, `{"message":"Internal Server Error"}`)
		return
	}
	body := []byte(out.Body)
	if out.IsBase64Encoded {
		if body, err = base64.StdEncoding.DecodeString(out.Body); err != nil {
			panic(err)
		}
	}
	for name, value := range out.Headers {
		w.Header().Set(name, value)
	}
	for _, cookie := range out.Cookies {
		w.Header().Add("Set-Cookie", cookie)
	}
	w.WriteHeader(out.StatusCode)
	_, _ = w.Write(body)
}

// event is what a function gets for a request.
func (g *gateway) event(r *http.Request) (events.APIGatewayV2HTTPRequest, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return events.APIGatewayV2HTTPRequest{}, err
	}
	address, _, _ := net.SplitHostPort(r.RemoteAddr)
	now := time.Now().UTC()
	in := events.APIGatewayV2HTTPRequest{
		Version: "2.0", RawPath: r.URL.EscapedPath(), RawQueryString: r.URL.RawQuery, Body: string(body),
		Headers: map[string]string{
			"host": r.Host, "x-amzn-trace-id": "Root=1-5e9f0c65-1de4d666d4dd26aced652b6c",
			"x-forwarded-for": address, "x-forwarded-port": "443", "x-forwarded-proto": "https",
		},
		RequestContext: events.APIGatewayV2HTTPRequestContext{
			AccountID: cloudtest.Account, APIID: "abc", Stage: "$default",
			DomainName: r.Host, DomainPrefix: strings.Split(r.Host, ".")[0],
			RequestID: "LV7fzho-PHcEJPw=", Time: now.Format("02/Jan/2006:15:04:05 -0700"), TimeEpoch: now.UnixMilli(),
			HTTP: events.APIGatewayV2HTTPRequestContextHTTPDescription{
				Method: r.Method, Path: r.URL.EscapedPath(), Protocol: r.Proto, SourceIP: address, UserAgent: r.UserAgent(),
			},
		},
	}
	in.RouteKey, in.PathParameters = g.route(r)
	in.RequestContext.RouteKey = in.RouteKey
	for name, values := range r.Header {
		if name == "Cookie" {
			in.Cookies = strings.Split(strings.Join(values, "; "), "; ")
		} else {
			in.Headers[strings.ToLower(name)] = strings.Join(values, ",")
		}
	}
	for name, values := range r.URL.Query() {
		if in.QueryStringParameters == nil {
			in.QueryStringParameters = map[string]string{}
		}
		in.QueryStringParameters[name] = strings.Join(values, ",")
	}
	if len(body) > 0 && !isText(r.Header.Get("Content-Type"), body) {
		in.Body, in.IsBase64Encoded = base64.StdEncoding.EncodeToString(body), true
	}
	return in, nil
}

// route finds the key of a request's route and what stands for the name in braces.
func (g *gateway) route(r *http.Request) (key string, parameters map[string]string) {
	for key := range g.routes {
		path := strings.TrimPrefix(key, "ANY ")
		prefix, greedy := strings.CutSuffix(path, "{proxy+}")
		if rest, ok := strings.CutPrefix(r.URL.Path, prefix); greedy && ok && rest != "" {
			return key, map[string]string{"proxy": rest}
		}
		if r.URL.Path == path {
			return key, nil
		}
	}
	return "$default", nil
}

// isText tells the bodies that the gateway passes on as they are, text and three
// types of text, from those that it passes on in base64. Forms are among the
// latter, and bodies that name no type.
func isText(contentType string, body []byte) bool {
	kind, _, _ := mime.ParseMediaType(contentType)
	switch kind {
	case "application/json", "application/xml", "application/javascript":
	default:
		if !strings.HasPrefix(kind, "text/") {
			return false
		}
	}
	return utf8.Valid(body) // others, such as compressed ones, could not stand in JSON
}

// routes reads from template.yaml which function serves which route.
func routes(t testing.TB) map[string]string {
	t.Helper()
	var template struct {
		Resources map[string]struct {
			Type       string `yaml:"Type"`
			Properties struct {
				Events map[string]struct {
					Type       string `yaml:"Type"`
					Properties struct {
						Method string `yaml:"Method"`
						Path   string `yaml:"Path"`
					} `yaml:"Properties"`
				} `yaml:"Events"`
			} `yaml:"Properties"`
		} `yaml:"Resources"`
	}
	readTemplate(t, &template)
	all := map[string]string{}
	for name, r := range template.Resources {
		for _, e := range r.Properties.Events {
			switch p := e.Properties; {
			case r.Type != "AWS::Serverless::Function" || e.Type != "HttpApi":
			case p.Path == "":
				all["$default"] = strings.ToLower(strings.TrimSuffix(name, "Function"))
			default:
				all[p.Method+" "+p.Path] = strings.ToLower(strings.TrimSuffix(name, "Function"))
			}
		}
	}
	return all
}

// The gateway of the tests makes events with the fields of the one that the AWS
// library for Go has from API Gateway itself.
func TestEventsHaveTheFieldsOfRealOnes(t *testing.T) {
	folder := strings.TrimSpace(command(t, nil, "list", "-m", "-f", "{{.Dir}}", "github.com/aws/aws-lambda-go"))
	sample, err := os.ReadFile(filepath.Join(folder, "events", "testdata", "apigw-v2-request-no-authorizer.json"))
	if err != nil {
		t.Fatal(err)
	}
	var real map[string]any
	if err := json.Unmarshal(sample, &real); err != nil {
		t.Fatal(err)
	}
	made, err := (&gateway{}).event(&http.Request{
		Method: http.MethodGet, Host: "abc.execute-api.eu-central-1.amazonaws.com", Proto: "HTTP/1.1", URL: &url.URL{Path: "/"},
		RemoteAddr: "198.51.100.4:1234", Body: http.NoBody,
		Header: http.Header{"Accept": {"*/*"}, "Content-Length": {"0"}, "User-Agent": {"curl/7.58.0"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(made)
	var got map[string]any
	if err == nil {
		err = json.Unmarshal(text, &got)
	}
	if err != nil {
		t.Fatal(err)
	}
	if got, want := fields("", got), fields("", real); !slices.Equal(got, want) {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// fields are the paths of all fields below an object, in order.
func fields(path string, v any) (all []string) {
	below, ok := v.(map[string]any)
	if !ok {
		return []string{path}
	}
	for _, name := range slices.Sorted(maps.Keys(below)) {
		all = append(all, fields(path+"."+name, below[name])...)
	}
	return all
}
