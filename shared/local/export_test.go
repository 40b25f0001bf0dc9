package local

// StartTLSOnly treats a server as one that is not on this machine.
func StartTLSOnly(s *SMTP) *SMTP {
	s.local = false
	return s
}
