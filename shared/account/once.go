package account

import (
	"context"
	"time"

	"lethe/shared/kind"
	"lethe/shared/table"
)

// OnceLife is how long a key of Once is remembered.
const OnceLife = 24 * time.Hour

// Once does something under a key that somebody may use once, whatever process they ask: a
// form has one that makes what is shown a single time, so that sending it again makes no
// second that nobody asked for. What fails gives its key back; a crash on the way does
// not. Kinds: Conflict for a key that was used, Invalid for none, either with a sentence;
// or as of do.
func (a *Accounts) Once(ctx context.Context, name, key string, do func() error) error {
	if key == "" {
		return kind.Say(kind.Invalid, "This form is not whole. Open its page again, and send it from there.")
	}
	err := a.control.Write(ctx, table.Put(table.Item{Key: onceKey(name, key), Expires: a.clock().Add(OnceLife)}, table.IfAbsent()))
	if kind.Of(err) == kind.Conflict {
		return kind.Say(kind.Conflict, "This form was sent before, and nothing more was made now. What was made then was shown then, and is not shown again. If you did not keep it, make another, and end the one that you do not have.")
	}
	if err != nil {
		return kind.Wrap("take a one-time key", err)
	}
	if err := do(); err != nil {
		_ = a.control.Write(context.WithoutCancel(ctx), table.Delete(onceKey(name, key), table.Cond{})) // it ends with its day
		return err
	}
	return nil
}
