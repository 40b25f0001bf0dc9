package ses_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/sesv2"

	"lethe/shared/cloud/cloudtest"
	"lethe/shared/cloud/ses"
	"lethe/shared/dsr"
	"lethe/shared/dsr/dsrtest"
	"lethe/shared/kind"
)

const secret = "amelie@example.com"

// A motoMail is a message as moto keeps it.
type motoMail struct {
	Source       string   `json:"source"`
	Destinations []string `json:"destinations"`
	Raw          string   `json:"raw_data"`
}

// motoSent returns what moto has sent, by the page that its dashboard reads.
func motoSent(t *testing.T, address string) []motoMail {
	t.Helper()
	resp, err := http.Get(address + "/moto-api/data.json")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var all struct {
		SES struct{ RawMessage []motoMail } `json:"ses"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&all); err != nil {
		t.Fatal(err)
	}
	return all.SES.RawMessage
}

// motoSES returns a client of an SES that has verified the domain of dsrtest.From.
func motoSES(t *testing.T) (*sesv2.Client, string) {
	t.Helper()
	address := cloudtest.Moto(t)
	client := sesv2.NewFromConfig(cloudtest.Config(address))
	if _, err := client.CreateEmailIdentity(t.Context(), &sesv2.CreateEmailIdentityInput{EmailIdentity: aws.String("example.com")}); err != nil {
		t.Fatal(err)
	}
	return client, address
}

func TestSender(t *testing.T) {
	client, address := motoSES(t)
	dsrtest.Sender(t, func(t *testing.T) dsrtest.Post {
		before := len(motoSent(t, address))
		return dsrtest.Post{
			Sender: ses.NewSender(client, dsrtest.From),
			Sent: func(t *testing.T) []string {
				var raw []string
				for _, m := range motoSent(t, address)[before:] {
					raw = append(raw, m.Raw)
				}
				return raw
			},
		}
	})
	for _, m := range motoSent(t, address) {
		if m.Source != "lethe@example.com" || len(slices.Compact(m.Destinations)) != 1 || !strings.Contains(m.Raw, "To: "+m.Destinations[0]) {
			t.Errorf("a message was handed over as from %q to %q:\n%s", m.Source, m.Destinations, m.Raw)
		}
	}
}

// A mail whose connection ends before it was accepted or after is sent again by the
// SDK: it is lost never, and arrives twice in the worst case, under one name.
func TestSenderFaults(t *testing.T) {
	client, address := motoSES(t)
	line := cloudtest.NewLine(t, address)
	sender := ses.NewSender(sesv2.New(client.Options(), func(o *sesv2.Options) {
		o.BaseEndpoint = &line.Address
		o.Retryer = retry.NewStandard(func(o *retry.StandardOptions) { o.MaxAttempts, o.MaxBackoff = 3, time.Millisecond })
	}), dsrtest.From)
	for _, c := range []struct {
		id    string
		fault cloudtest.Fault
		times int
		want  kind.Kind
		sent  int
	}{
		{"not-once", cloudtest.NotApplied, 1, "", 1},
		{"not-for-good", cloudtest.NotApplied, 1000, kind.Unavailable, 0},
		{"but-once", cloudtest.Applied, 1, "", 2},
		{"but-for-good", cloudtest.Applied, 1000, kind.Unavailable, 3},
	} {
		line.Break(c.fault, c.times, func(r *http.Request) bool { return r.Method == http.MethodPost })
		err := sender.Send(t.Context(), dsr.Message{ID: c.id, To: secret, Subject: "Hello", Text: "Hello"})
		if line.Mend() == c.times {
			t.Fatal("nothing failed")
		}
		if kind.Of(err) != c.want || err != nil && strings.Contains(err.Error(), secret) {
			t.Errorf("%s: got %v, want %q without the address", c.id, err, c.want)
		}
		sent := 0
		for _, m := range motoSent(t, address) {
			if strings.Contains(m.Raw, "Lethe-Message-ID: <"+c.id+"@example.com>") {
				sent++
			}
		}
		if sent != c.sent {
			t.Errorf("%s: arrived %d times, want %d", c.id, sent, c.sent)
		}
	}
}

func TestSenderThatIsNotVerified(t *testing.T) {
	client, address := motoSES(t)
	err := ses.NewSender(client, "lethe@elsewhere.example").Send(t.Context(), dsr.Message{
		ID: "one", To: secret, Subject: "Hello", Text: "Hello",
	})
	if kind.Of(err) != kind.Internal || !strings.Contains(err.Error(), "MessageRejected") || strings.Contains(err.Error(), "elsewhere") {
		t.Errorf("got %v, want Internal and MessageRejected without the address", err)
	}
	if sent := motoSent(t, address); len(sent) != 0 {
		t.Errorf("sent all the same: %v", sent)
	}
}

func TestSenderErrors(t *testing.T) {
	for _, c := range []struct {
		status int
		code   string
		want   kind.Kind
	}{
		{400, "BadRequestException", kind.Invalid},
		{400, "LimitExceededException", kind.Throttled},
		{429, "TooManyRequestsException", kind.Throttled},
		{400, "ThrottlingException", kind.Throttled},
		{400, "SendingPausedException", kind.Unavailable},
		{400, "AccountSuspendedException", kind.Internal},
		{400, "MessageRejected", kind.Internal},
		{403, "AccessDeniedException", kind.Internal},
		{500, "InternalFailure", kind.Unavailable},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Amzn-ErrorType", c.code)
			w.WriteHeader(c.status)
			_, _ = w.Write([]byte(`{"message":"` + secret + `"}`))
		}))
		client := sesv2.NewFromConfig(cloudtest.Config(server.URL), func(o *sesv2.Options) { o.Retryer = aws.NopRetryer{} })
		err := ses.NewSender(client, dsrtest.From).Send(t.Context(), dsr.Message{ID: "one", To: secret, Subject: "Hello", Text: "Hello"})
		if kind.Of(err) != c.want || !strings.Contains(err.Error(), c.code) || strings.Contains(err.Error(), secret) {
			t.Errorf("%s: got %v, want %v with the code and without the address", c.code, err, c.want)
		}
		server.Close()
	}
}
