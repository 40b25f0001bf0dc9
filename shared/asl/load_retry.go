package asl

import (
	"encoding/json"
	"slices"
	"strings"
	"time"
)

func (f *taken) retriers() []retrier {
	var all []retrier
	list := f.list("Retry")
	for i, n := range list {
		r := f.l.fields(n, f.what+": Retry")
		r.take("Comment")
		one := retrier{
			errors:   r.errorEquals(i == len(list)-1),
			interval: time.Second, attempts: 3, backoff: 2,
		}
		if d, ok := r.seconds("IntervalSeconds", 1); ok {
			one.interval = d
		}
		if n, ok := r.integer("MaxAttempts", 0, 99_999_999); ok {
			one.attempts = int(n)
		}
		if n := r.take("BackoffRate"); n != nil {
			rate, ok := n.value.(json.Number)
			if one.backoff = float(rate); !ok || one.backoff < 1 {
				r.say("BackoffRate", "must be a number from 1.0 on")
			}
		}
		if d, ok := r.seconds("MaxDelaySeconds", 1); ok {
			if one.longest = d; d <= one.interval {
				r.say("MaxDelaySeconds", "must be greater than IntervalSeconds")
			}
		}
		switch strategy, ok := r.text("JitterStrategy"); {
		case ok && strategy == "FULL":
			one.jitter = true
		case ok && strategy != "NONE":
			r.say("JitterStrategy", "must be FULL or NONE")
		}
		r.end()
		all = append(all, one)
	}
	return all
}

func (f *taken) catchers() []catcher {
	var all []catcher
	list := f.list("Catch")
	for i, n := range list {
		c := f.l.fields(n, f.what+": Catch")
		c.take("Comment")
		one := catcher{errors: c.errorEquals(i == len(list)-1), resultPath: c.resultPath()}
		next, ok := c.text("Next")
		if !ok {
			c.missing("Next")
		}
		one.next = next
		c.end()
		all = append(all, one)
	}
	return all
}

// errorEquals reads the names of errors. States.ALL must stand alone, and in the
// last element.
func (f *taken) errorEquals(last bool) []string {
	if !f.has("ErrorEquals") {
		f.missing("ErrorEquals")
	}
	var names []string
	for _, n := range f.list("ErrorEquals") {
		name, ok := n.value.(string)
		if !ok || name == "" {
			f.l.say(n, "%s: ErrorEquals must hold names", f.what)
			continue
		}
		if strings.HasPrefix(name, "States.") && !slices.Contains(reservedErrors(), name) {
			f.l.say(n, "%s: %q is no error name of the language", f.what, name)
		}
		names = append(names, name)
	}
	if slices.Contains(names, errAll) && (len(names) > 1 || !last) {
		f.say("ErrorEquals", "may hold States.ALL only alone and in the last element")
	}
	return names
}

func reservedErrors() []string {
	return []string{errAll, errTaskFailed, errTimeout, errHeartbeat, errRuntime, errDataLimit, errIntrinsic,
		errParameterPath, errResultPath, errNoChoice, errBranch, errPermissions, errTolerated, errItemReader, errResultWriter}
}
