package console

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"maragu.dev/gomponents"
	"maragu.dev/gomponents/html"

	"lethe/shared/dsr"
)

// counts shows what a project took in, day by day, and how its requests stand.
func counts(v *visit, p place) error {
	days, err := v.lastDays(p)
	if err != nil {
		return err
	}
	states, err := v.states(p)
	if err != nil {
		return err
	}
	return v.show(http.StatusOK, "Counts of "+p.name(), v.parts(p), days, states)
}

// daysCounted is how many days the chart shows.
const daysCounted = 30

// lastDays is the chart of what a project took in.
func (v *visit) lastDays(p place) (node, error) {
	to := v.Clock().UTC().Truncate(24 * time.Hour)
	days, err := v.Service.Days(v.r.Context(), p.ID, to.AddDate(0, 0, 1-daysCounted), to)
	if err != nil {
		return nil, err
	}
	bars := make([]bar, len(days))
	rows := make([]node, len(days))
	for i, d := range days {
		bars[i] = bar{short(d.Date), d.Stored}
		rows[i] = html.Tr(html.Td(html.Time(text(d.Date))), cell(decimal(d.Stored)), cell(decimal(d.OptedOut)), cell(decimal(d.Late)))
	}
	slices.Reverse(rows)
	return gomponents.Group{
		chart("days-chart", "Events and profiles stored per day", bars),
		table("days", "Day by day", []string{"Day, UTC", "Stored", "Opted out", "Erased"}, rows, "Nothing came in yet."),
		say("Stored are events and changes of profiles. What was about somebody who is opted out, or who was erased since it happened, was dropped. After a crash the numbers can be a little off."),
	}, nil
}

// short is a day without its year, to stand below a bar.
func short(date string) string {
	day, err := time.Parse(time.DateOnly, date)
	if err != nil {
		return date
	}
	return day.Format("2 Jan")
}

// allStates are those that a request can be in, in the order of its life.
var allStates = []dsr.Status{dsr.Pending, dsr.Staging, dsr.Started, dsr.Success, dsr.Failure, dsr.Revoked}

// mostCounted is how many of a project's latest requests are counted.
const mostCounted = 2000

// states is the chart of how requests stand.
func (v *visit) states(p place) (node, error) {
	found, total, err := v.Service.List(v.r.Context(), p.ID, "", 1, mostCounted)
	if err != nil {
		return nil, err
	}
	of := map[dsr.Type]map[dsr.Status]int64{dsr.Export: {}, dsr.Deletion: {}}
	for _, r := range found {
		of[r.Type][r.Status]++
	}
	var bars []bar
	var rows []node
	for _, s := range allStates {
		exports, deletions := of[dsr.Export][s], of[dsr.Deletion][s]
		bars = append(bars, bar{statusNames[s], exports + deletions})
		rows = append(rows, html.Tr(cell(statusNames[s]), cell(decimal(exports)), cell(decimal(deletions))))
	}
	about := "All " + count(total, "request", "requests") + " that are kept."
	if total > mostCounted {
		about = "The latest " + strconv.Itoa(mostCounted) + " of " + strconv.Itoa(total) + " requests."
	}
	return gomponents.Group{
		chart("states-chart", "Requests by state", bars),
		table("states", "State by state", []string{"State", "Exports", "Deletions"}, rows, ""), say(about),
	}, nil
}

func decimal(n int64) string { return strconv.FormatInt(n, 10) }

// A bar of a chart.
type bar struct {
	name string
	n    int64
}

// The size of a chart, in units of its own.
const (
	chartWidth, chartHeight = 640, 160
	chartLine               = 29     // for a line of names of bars
	chartHead, chartSide    = 24, 64 // for the scale
	chartEnd                = 16     // for the end of the last name
	leastBar                = 3      // so that one is told from none
)

// chart draws bars. Whoever cannot see them is told what they are, and reads the table
// that follows.
func chart(id, title string, bars []bar) node {
	if len(bars) == 0 {
		return nil
	}
	most := bars[0]
	for _, b := range bars {
		if b.n > most.n {
			most = b
		}
	}
	step := float64(chartWidth) / float64(len(bars))
	every := (len(bars) + 6) / 7 // there is room for about seven names
	anchor, shift, lines := "start", .1, 1
	if every == 1 { // then names may be longer than a bar is wide
		anchor, shift, lines = "middle", .5, 2
	}
	var drawn gomponents.Group
	for i, b := range bars {
		x := float64(i) * step
		if b.n > 0 {
			height := max(float64(chartHeight)*float64(b.n)/float64(most.n), leastBar)
			drawn = append(drawn, svg("rect", at("x", x+step*.1), at("y", chartHeight-height), at("width", step*.8), at("height", height)))
		}
		if i%every == 0 {
			drawn = append(drawn, svg("text", gomponents.Attr("text-anchor", anchor), at("x", x+step*shift), at("y", chartHeight+float64(i%lines+1)*chartLine-8), text(b.name)))
		}
	}
	description := "Bars from " + bars[0].name + " to " + bars[len(bars)-1].name + "; the highest is " + most.name + " with " + decimal(most.n) + ". The table that follows has every number."
	return gomponents.Group{
		html.H2(text(title)),
		html.SVG(html.Class("chart"), html.Role("img"), html.Aria("labelledby", id+"-title "+id+"-desc"),
			gomponents.Attr("viewBox", fmt.Sprintf("%d %d %d %d", -chartSide, -chartHead, chartSide+chartWidth+chartEnd, chartHead+chartHeight+lines*chartLine)),
			svg("title", html.ID(id+"-title"), text(title)), svg("desc", html.ID(id+"-desc"), text(description)),
			level(0, 0), gomponents.If(most.n > 0, level(1, most.n)), gomponents.If(most.n > 1, level(float64(most.n/2)/float64(most.n), most.n/2)), drawn),
	}
}

// level is a line across a chart, at a part of its height, that says what that stands for.
func level(part float64, n int64) node {
	y := chartHeight * (1 - part)
	return gomponents.Group{
		svg("line", at("x1", -chartSide), at("y1", y), at("x2", chartWidth), at("y2", y)),
		gomponents.If(n > 0, svg("text", at("x", -chartSide), at("y", y-4), text(decimal(n)))),
	}
}

func svg(name string, content ...node) node { return gomponents.El(name, content...) }

// at is an attribute that is a length.
func at(name string, n float64) node {
	return gomponents.Attr(name, strconv.FormatFloat(n, 'f', 1, 64))
}
