package cloud

import (
	"context"
	"errors"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sesv2"
	"github.com/aws/aws-sdk-go-v2/service/sesv2/types"

	"lethe/shared/dsr"
	"lethe/shared/kind"
	"lethe/shared/mail"
)

type sender struct {
	client *sesv2.Client
	from   string
	clock  dsr.Clock
}

// NewSender returns a sender by SES from an address of an identity that SES may
// send for. SES puts an id of its own into the Message-ID, so a receiver cannot
// tell a message that was sent again by that.
func NewSender(client *sesv2.Client, from string, clock dsr.Clock) dsr.Sender {
	return sender{client, from, clock}
}

// Send implements dsr.Sender.
func (s sender) Send(ctx context.Context, m dsr.Message) error {
	const op = "send a mail"
	raw, err := mail.Compose(s.from, m, s.clock().Round(time.Second))
	if err != nil {
		return err
	}
	_, err = s.client.SendEmail(ctx, &sesv2.SendEmailInput{
		FromEmailAddress: &s.from,
		Destination:      &types.Destination{ToAddresses: []string{m.To}},
		Content:          &types.EmailContent{Raw: &types.RawMessage{Data: raw}},
	})
	var rejected *types.MessageRejected
	if errors.As(err, &rejected) {
		return kind.E(kind.Invalid, op, cause(err))
	}
	return classify(op, err)
}
