package cloud_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sesv2"

	"lethe/shared/cloud"
	"lethe/shared/cloud/cloudtest"
	"lethe/shared/dsr"
	"lethe/shared/kind"
	"lethe/shared/mail/mailtest"
)

func TestSenderOnMoto(t *testing.T) {
	address := cloudtest.Moto(t)
	client := sesv2.NewFromConfig(cloudtest.Config(address))
	_, err := client.CreateEmailIdentity(t.Context(), &sesv2.CreateEmailIdentityInput{EmailIdentity: aws.String(mailtest.From)})
	if err != nil {
		t.Fatal(err)
	}
	mailtest.Run(t, cloud.NewSender(client, mailtest.From, time.Now), func(t *testing.T) [][]byte {
		r, err := http.Get(address + "/moto-api/data.json")
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		var kept struct {
			SES struct {
				RawMessage []struct {
					Raw string `json:"raw_data"`
				}
			} `json:"ses"`
		}
		if err := json.NewDecoder(r.Body).Decode(&kept); err != nil {
			t.Fatal(err)
		}
		var all [][]byte
		for _, m := range kept.SES.RawMessage {
			all = append(all, []byte(m.Raw))
		}
		return all
	})
}

func TestSenderErrors(t *testing.T) {
	m := dsr.Message{ID: "a", To: "pat@example.com", Subject: "s", Text: "t", HTML: "<p>t</p>"}
	for _, c := range []struct {
		status int
		code   string
		want   kind.Kind
	}{
		{400, "MessageRejected", kind.Invalid},
		{429, "TooManyRequestsException", kind.Throttled},
		{400, "MailFromDomainNotVerifiedException", kind.Internal},
		{500, "InternalServiceError", kind.Unavailable},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Amzn-Errortype", c.code)
			w.WriteHeader(c.status)
			_, _ = w.Write([]byte(`{"message":"pat@example.com is not verified"}`))
		}))
		client := sesv2.NewFromConfig(cloudtest.Config(server.URL), func(o *sesv2.Options) { o.Retryer = aws.NopRetryer{} })
		err := cloud.NewSender(client, mailtest.From, time.Now).Send(t.Context(), m)
		if got := kind.Of(err); got != c.want {
			t.Errorf("%s: got %v, want %v", c.code, got, c.want)
		}
		if strings.Contains(err.Error(), "pat@") {
			t.Errorf("%s: the error holds an address", c.code)
		}
		server.Close()
	}
}
