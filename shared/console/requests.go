package console

// requestsPath is the log of requests; a request's own page lies below it.
const requestsPath = "/requests"

// requestRoutes are the pages of who handles requests.
var requestRoutes = map[string]page{
	"GET /{$}": signedIn(home),
}
