// Package demo makes up the users of a small shop and what they did in it: the
// records that web, phone and server libraries would have sent. Make gives the
// same records for the same day, so that making them can be done again after a
// crash without anything being stored twice.
package demo

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"time"
)

const (
	people    = 320
	anonymous = 60 // visitors beside them who never sign up
	days      = 120
	seed      = 1
)

// Data is what a demo project is filled with, in the shapes that clients send.
type Data struct {
	// Events go to /import, in order: an event that ties two ids together comes
	// before what follows from it.
	Events []json.RawMessage
	// Profiles go to /engage.
	Profiles []json.RawMessage
	// Busy is the distinct_id with the most events that has a profile as well.
	Busy string
}

// Make returns the records of a project whose token is given, all before the day
// of now and after 120 days before it, in UTC.
func Make(token string, now time.Time) Data {
	today := now.UTC().Truncate(24 * time.Hour)
	m := maker{
		rand:  rand.New(rand.NewPCG(seed, seed)),
		token: token,
		first: today.AddDate(0, 0, -days),
		last:  today,
	}
	for n := 1; n <= people; n++ {
		m.person(n)
	}
	for range anonymous {
		m.visitor()
	}
	return m.Data
}

// A maker makes one person after the other. All chance comes from rand.
type maker struct {
	Data
	rand        *rand.Rand
	token       string
	first, last time.Time
	most        int
}

// person makes one who came on some day, looked around, signed up and returned a
// number of times.
func (m *maker) person(n int) {
	id := fmt.Sprintf("user-%04d", n)
	joined := m.first.Add(m.span(m.last.Sub(m.first) * 9 / 10))
	before := len(m.Events)
	d := m.device()
	at := joined
	m.browse(d, d.anonymous(), "", &at)
	m.signUp(d, id, n, &at)
	visits := 1 + int(m.rand.ExpFloat64()*3)
	for range visits {
		at = at.Add(time.Hour + m.span(12*24*time.Hour))
		if !at.Before(m.last) {
			break
		}
		if m.chance(10) {
			d = m.device() // a second one, seen signed in from its first event on
		}
		m.browse(d, id, id, &at)
		if m.chance(35) {
			m.buy(d, id, &at)
		}
	}
	m.profile(id, n, d, joined)
	if m.chance(5) {
		m.alias(id, n, d, &at)
	}
	if made := len(m.Events) - before; made > m.most {
		m.most, m.Busy = made, id
	}
}

// visitor makes one who never said who they are.
func (m *maker) visitor() {
	d := m.device()
	at := m.first.Add(m.span(m.last.Sub(m.first) * 9 / 10))
	m.browse(d, d.anonymous(), "", &at)
}

// event appends one event at *at and moves *at on by some seconds. An event of a
// visit that runs past the last day is left out.
func (m *maker) event(name, id string, at *time.Time, properties ...map[string]any) {
	when := *at
	*at = at.Add(time.Second + m.span(90*time.Second))
	insert := m.hex(16) // drawn even for an event that is left out
	if !when.Before(m.last) {
		return
	}
	all := map[string]any{}
	for _, some := range properties {
		for name, value := range some {
			all[name] = value
		}
	}
	all["token"] = m.token
	all["distinct_id"] = id
	all["time"] = when.UnixMilli()
	all["$insert_id"] = insert
	m.Events = append(m.Events, raw(map[string]any{"event": name, "properties": all}))
}

func (m *maker) span(d time.Duration) time.Duration {
	return time.Duration(m.rand.Int64N(int64(d))).Truncate(time.Millisecond)
}

func (m *maker) chance(percent int) bool { return m.rand.IntN(100) < percent }

func (m *maker) hex(digits int) string {
	const alphabet = "0123456789abcdef"
	b := make([]byte, digits)
	for i := range b {
		b[i] = alphabet[m.rand.IntN(len(alphabet))]
	}
	return string(b)
}

func (m *maker) uuid() string {
	return m.hex(8) + "-" + m.hex(4) + "-4" + m.hex(3) + "-a" + m.hex(3) + "-" + m.hex(12)
}

func pick[T any](m *maker, from []T) T { return from[m.rand.IntN(len(from))] }

// raw encodes a value made of maps, strings and numbers, which always can be.
func raw(v any) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}
