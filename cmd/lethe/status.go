package main

import "lethe/shared/kind"

// Exit statuses, as docs/operations.md documents them.
const (
	statusDone       = 0 // it did what it was asked, or was stopped by Ctrl-C or SIGTERM
	statusFailed     = 1 // something else went wrong
	statusUsage      = 2 // a flag, a variable or an argument is wrong
	statusRefused    = 3 // what was asked is possible but not allowed
	statusUnfinished = 4 // it is not finished: it was stopped, or has to be run again later
	statusInUse      = 5 // another process has the data directory
	statusPort       = 6 // the address to listen on is taken or cannot be had
	statusUnwritable = 7 // the data directory cannot be written
	statusDamaged    = 8 // stored data is not what it must be; a backup is needed
)

// A failure ends the program with its status, after its sentence.
type failure struct {
	status   int
	sentence string
}

func (f failure) Error() string { return f.sentence }

// opening turns an error of local.Open into a failure.
func opening(err error) error {
	f := failure{statusFailed, kind.Sentence(err)}
	switch kind.Of(err) {
	case kind.Conflict:
		f.status = statusInUse
	case kind.Forbidden:
		f.status = statusUnwritable
	case kind.Corrupt:
		f.status = statusDamaged
	case kind.Invalid: // written by a newer version
		f.status = statusRefused
	}
	if f.sentence == "" {
		f.sentence = err.Error()
	}
	return f
}
