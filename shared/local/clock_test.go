package local

import (
	"testing"
	"time"
)

func TestClockNeverGoesBack(t *testing.T) {
	dir := t.TempDir()
	machine := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	open := func() *clock {
		c, err := openClock(dir, func() time.Time { return machine })
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	c := open()
	highest := c.now()
	want := func(c *clock) {
		t.Helper()
		if now := c.now(); now.Before(highest) {
			t.Errorf("got %v after %v", now, highest)
		} else {
			highest = now
		}
	}
	machine = machine.Add(time.Hour)
	want(c)
	machine = machine.Add(-24 * time.Hour)
	want(c)
	if err := c.keep(t.Context()); err != nil {
		t.Fatal(err)
	}
	machine = machine.Add(keepClockEvery) // it runs on for a while, then is killed
	want(c)
	c = open()
	want(c)
	before := highest
	machine = machine.Add(10 * time.Minute)
	if want(c); highest.Sub(before) < 4*time.Minute {
		t.Errorf("it stands still until the machine's clock has caught up: %v later after ten minutes", highest.Sub(before))
	}
	machine = machine.Add(48 * time.Hour)
	if want(c); !highest.Equal(machine) {
		t.Errorf("got %v when the machine's clock, at %v, has caught up", highest, machine)
	}
}
