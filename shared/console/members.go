package console

const (
	projectsPath     = "/projects"
	organisationPath = "/organisation"
	personalPath     = "/personal"
)

// memberRoutes are the pages about projects, people and what they hold.
var memberRoutes = map[string]page{}
