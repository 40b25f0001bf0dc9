package local

import "time"

// SetAside is the first half of Replace, as a process does it that is killed before the
// second.
func SetAside(s *Staged) (old string, err error) { return s.setAside(time.Now()) }

// StartTLSOnly treats a server as one that is not on this machine.
func StartTLSOnly(s *SMTP) *SMTP {
	s.local = false
	return s
}
