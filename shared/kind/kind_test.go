package kind_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"

	"lethe/shared/kind"
)

func TestSubjectNeverPrints(t *testing.T) {
	const secret = "amelie@example.com"
	s := kind.Subject(secret)
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "a", s, "b", []kind.Subject{s})
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "a", s, "b", []kind.Subject{s})
	inJSON, err := json.Marshal([]kind.Subject{s})
	if err != nil {
		t.Fatal(err)
	}
	for _, got := range []string{
		fmt.Sprint(s), fmt.Sprintf("%s %v %+v %#v %q %x %d", s, s, s, s, s, s, s), fmt.Sprintf("%v %#v", []kind.Subject{s}, struct{ S kind.Subject }{s}),
		log.String(), string(inJSON), kind.E(kind.Internal, "x", fmt.Errorf("of %v", s)).Error(),
	} {
		if strings.Contains(got, secret) || strings.Contains(got, "616d656c") {
			t.Errorf("an identifier was printed: %s", got)
		}
		if !strings.Contains(got, "[subject]") {
			t.Errorf("got %q, want it to say [subject]", got)
		}
	}
}

func TestOf(t *testing.T) {
	for _, c := range []struct {
		name string
		err  error
		want kind.Kind
	}{
		{"nil", nil, ""},
		{"made", kind.E(kind.Conflict, "swap"), kind.Conflict},
		{"wrapped keeps the kind", kind.Wrap("outer", kind.E(kind.Conflict, "swap")), kind.Conflict},
		{"the outermost counts", kind.E(kind.Unavailable, "outer", kind.E(kind.NotFound, "inner")), kind.Unavailable},
		{"a bare kind", kind.Throttled, kind.Throttled},
		{"a context that ended", fmt.Errorf("x: %w", context.Canceled), kind.Unavailable},
		{"anything else", io.ErrUnexpectedEOF, kind.Internal},
	} {
		if got := kind.Of(c.err); got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
	if !errors.Is(kind.Wrap("a", kind.E(kind.NotFound, "b")), kind.NotFound) {
		t.Error("errors.Is does not see the kind")
	}
	if got, want := kind.Sentence(kind.Wrap("a", kind.Say(kind.Invalid, "Send less."))), "Send less."; got != want {
		t.Errorf("sentence: got %q, want %q", got, want)
	}
}

func TestParseSubject(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{" bob\t", "bob"}, {"Bob", "Bob"}, {"00", "00"}, {"nobody", "nobody"}, {"$device:1", "$device:1"},
		{strings.Repeat("é", 255), strings.Repeat("é", 255)},
	} {
		got, err := kind.ParseSubject(c.in)
		if err != nil || string(got) != c.want {
			t.Errorf("ParseSubject(%q) = %q, %v; want %q", c.in, string(got), err, c.want)
		}
	}
	for _, in := range []string{"", "  ", "0", "-1", "NULL", " Undefined ", "N/A", "<nil>", "[]", "{}", "True",
		"00000000-0000-0000-0000-000000000000", strings.Repeat("x", 256), "a\xff"} {
		if _, err := kind.ParseSubject(in); kind.Of(err) != kind.Invalid {
			t.Errorf("ParseSubject(%q): got %v, want it refused", in, err)
		}
	}
}

func TestMarksOfEveryKey(t *testing.T) {
	one := kind.Keyring{{Version: 1, Secret: []byte("first")}}
	two := append(one, kind.Key{Version: 2, Secret: []byte("second")})
	old := one.Mark("7", "bob")
	if got := two.Marks("7", "bob"); len(got) != 2 || got[1] != old || got[0] != two.Mark("7", "bob") {
		t.Errorf("a mark made under the old key is not looked up: %v", got)
	}
	if one.Mark("71", "bob") == one.Mark("7", "1bob") {
		t.Error("project and identifier run together in a mark")
	}
}
