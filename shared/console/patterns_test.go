package console

// Patterns are those of all routes.
func Patterns() []string {
	var all []string
	for _, routes := range []map[string]page{signInRoutes, requestRoutes, memberRoutes} {
		for pattern := range routes {
			all = append(all, pattern)
		}
	}
	return all
}
