package account

import (
	"context"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"lethe/shared/dsr"
	"lethe/shared/kind"
	"lethe/shared/table"
)

// A limit is how often something may be done for one key, whatever process does it.
type limit struct {
	name string
	dsr.Rate
	sentence string
}

var (
	failures = limit{"failures", dsr.Rate{Every: 10 * time.Second, Burst: 30},
		"Too many wrong tokens, secrets or sign-in links came from your network address: 30, and then one in 10 seconds, are looked at. Correct what is sent, and wait."}
	// Mails are asked for by whoever knows an address.
	mails = limit{"mails", dsr.Rate{Every: 10 * time.Minute, Burst: 5},
		"Too many sign-in links were asked for with this mail address: 5, and then one in 10 minutes, are sent. Use the last one, or wait."}
	asked = limit{"asked", dsr.Rate{Every: time.Minute, Burst: 20},
		"Too many sign-in links were asked for from your network address: 20, and then one a minute, are sent. Wait."}
)

// Failed counts an attempt from a network address to prove who somebody is that failed
// with err, and returns err; or kind.Throttled, with a *dsr.LimitError, where there were
// too many. An attempt that succeeds is not counted, and none is refused that would: 256
// random bits cannot be guessed, and many people can share an address with a program
// whose token has expired.
func (a *Accounts) Failed(ctx context.Context, address string, err error) error {
	if kind.Of(err) != kind.Unauthorized {
		return err
	}
	if limited := a.take(ctx, failures, network(address)); limited != nil {
		return limited
	}
	return err
}

// TakeMail counts a sign-in link that was asked for with a mail address from a network
// address, or that an owner or admin has mailed, without one. It returns kind.Throttled, with a *dsr.LimitError, where there were too many.
func (a *Accounts) TakeMail(ctx context.Context, mail, address string) error {
	if address != "" {
		if err := a.take(ctx, asked, network(address)); err != nil {
			return err
		}
	}
	return a.take(ctx, mails, strings.ToLower(mail))
}

func (a *Accounts) take(ctx context.Context, l limit, key string) error {
	for range changes {
		item, err := a.control.Get(ctx, l.key(key))
		if err != nil && kind.Of(err) != kind.NotFound {
			return kind.Wrap("count for a limit", err)
		}
		next, full, err := l.take(item, a.clock())
		if err != nil {
			return err
		}
		version := item.Version
		err = a.control.Write(ctx, table.Put(table.Item{Key: l.key(key), Data: next, Expires: full.Add(time.Second)}, table.IfAt(version)))
		if kind.Of(err) != kind.Conflict {
			return kind.Wrap("count for a limit", err)
		}
	}
	// Many at once, from one address: as many as that are too many.
	return kind.E(kind.Throttled, "count for a limit", &dsr.LimitError{Limit: l.sentence, After: l.Every})
}

// take counts one more on what item holds.
func (l limit) take(item table.Item, now time.Time) (next []byte, full time.Time, err error) {
	var was time.Time
	if item.Version != 0 {
		ms, err := strconv.ParseInt(string(item.Data), 10, 64)
		if err != nil {
			return nil, full, kind.E(kind.Corrupt, "read a limit")
		}
		was = time.UnixMilli(ms)
	}
	full, wait := l.Take(was, now)
	if wait > 0 {
		return nil, full, kind.E(kind.Throttled, "count for a limit", &dsr.LimitError{Limit: l.sentence, After: wait})
	}
	return strconv.AppendInt(nil, full.UnixMilli(), 10), full, nil
}

func (l limit) key(of string) table.Key {
	return table.Key{PK: directory + "#limit#" + hashOf([]byte(l.name+"\x00"+of)), SK: "limit"}
}

// AddressOf is the network address in an http.Request's RemoteAddr, as audit trails and
// limits have it.
func AddressOf(remote string) string {
	if p, err := netip.ParseAddrPort(remote); err == nil {
		return p.Addr().Unmap().String()
	}
	return remote
}

// network is what of a network address one sender can hardly change: an IPv4 address,
// or the /64 of an IPv6 address.
func network(address string) string {
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return address
	}
	if ip = ip.Unmap(); ip.Is4() {
		return ip.String()
	}
	prefix, err := ip.WithZone("").Prefix(64)
	if err != nil {
		return address
	}
	return prefix.String()
}
