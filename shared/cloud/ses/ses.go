// Package ses sends mail through Amazon SES. It is a package of its own so that
// only the functions that send mail link the client of SES, which takes 0.7 ms of a
// function's start.
package ses

import (
	"context"
	"errors"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sesv2"
	"github.com/aws/aws-sdk-go-v2/service/sesv2/types"

	"lethe/shared/cloud"
	"lethe/shared/dsr"
	"lethe/shared/kind"
	"lethe/shared/mail"
)

// NewSender returns the Sender on SES, which sends as from, an address of an
// identity that SES has verified. Who uses it needs ses:SendEmail and
// ses:SendRawEmail on that identity. In an account that is still in the sandbox
// the recipient must be verified too; otherwise the error is Internal.
//
// SES gives every message a Message-ID and a Date of its own in place of the ones
// it gets (https://docs.aws.amazon.com/ses/latest/dg/header-fields.html), and has no
// token that would tell it of a repetition: a message whose answer was lost is sent
// again by the SDK and arrives twice. Lethe-Message-ID is then the same.
func NewSender(client *sesv2.Client, from string) dsr.Sender { return sender{client, from} }

// Use gives the functions on p what sends their mail, if the deployment sends any.
func Use(p *cloud.Platform) {
	if p.MailFrom != "" {
		p.Sender = NewSender(sesv2.NewFromConfig(p.Connection), p.MailFrom)
	}
}

type sender struct {
	client *sesv2.Client
	from   string
}

func (s sender) Send(ctx context.Context, m dsr.Message) error {
	const op = "send a mail"
	data, err := mail.Compose(s.from, m, time.Now())
	if err != nil {
		return kind.Wrap(op, err)
	}
	_, err = s.client.SendEmail(ctx, &sesv2.SendEmailInput{
		// Whom it is from, SES reads in the message, where a name is encoded as it must be.
		Destination: &types.Destination{ToAddresses: []string{m.To}},
		Content:     &types.EmailContent{Raw: &types.RawMessage{Data: data}},
	})
	var bad *types.BadRequestException
	var paused *types.SendingPausedException
	switch {
	case errors.As(err, &bad):
		return kind.E(kind.Invalid, op, cloud.Cause(err))
	case errors.As(err, &paused):
		return kind.E(kind.Unavailable, op, cloud.Cause(err))
	}
	return cloud.Classify(op, err)
}
