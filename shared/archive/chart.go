package archive

import (
	_ "embed"
	"maps"
	"slices"
	"strconv"
	"time"
)

const (
	chartWidth  = 720
	chartHeight = 150
	chartBase   = 128 // where the bars stand
	chartBelow  = chartHeight - 6
	chartMonths = 48 // more than these are shown by year
)

//go:embed chart.html
var chartLayout layout

const (
	barShape layout = `<rect x="{{x}}" y="{{y}}" width="{{w}}" height="{{h}}"><title>{{name}}: {{count}}</title></rect>` + "\n"
	barLine  layout = `<tr><td>{{name}}</td><td class="n">{{count}}</td></tr>` + "\n"
)

// chart is the activity over time as bars of an SVG picture.
type chart struct {
	Unit, Title string // of one bar: "month", "Month"
	First, Last string
	Top         int64
	Bars        []bar
}

type bar struct {
	Name       string
	Count      int64
	X, Y, W, H string
}

// chartOf draws events per month, or per year where the months are too many. It
// is nil where there are none.
func chartOf(months map[string]int64) *chart {
	if len(months) == 0 {
		return nil
	}
	c := &chart{Unit: "month", Title: "Month"}
	names := slices.Sorted(maps.Keys(months))
	c.Bars = span(names[0], names[len(names)-1], monthLayout, 0, 1)
	if len(c.Bars) > chartMonths {
		c.Unit, c.Title = "year", "Year"
		c.Bars = span(names[0], names[len(names)-1], "2006", 1, 0)
	}
	for i := range c.Bars {
		for _, name := range names {
			if name[:min(len(name), len(c.Bars[i].Name))] == c.Bars[i].Name {
				c.Bars[i].Count += months[name]
			}
		}
		c.Top = max(c.Top, c.Bars[i].Count)
	}
	c.First, c.Last = c.Bars[0].Name, c.Bars[len(c.Bars)-1].Name
	c.draw()
	return c
}

// span makes a bar for every year or month between two months, empty ones too.
func span(first, last, layout string, years, months int) []bar {
	from, err := time.Parse(monthLayout, first)
	if err != nil {
		return nil
	}
	to, err := time.Parse(monthLayout, last)
	if err != nil {
		return nil
	}
	if years > 0 {
		from = time.Date(from.Year(), time.January, 1, 0, 0, 0, 0, time.UTC)
	}
	var bars []bar
	for at := from; !at.After(to); at = at.AddDate(years, months, 0) {
		bars = append(bars, bar{Name: at.Format(layout)})
	}
	return bars
}

// draw places the bars. One that stands for any event at all can be seen.
func (c *chart) draw() {
	step := float64(chartWidth) / float64(len(c.Bars))
	width := min(step*0.8, 48)
	for i := range c.Bars {
		b := &c.Bars[i]
		height := 0.0
		if b.Count > 0 {
			height = max(float64(b.Count)/float64(c.Top)*float64(chartBase-8), 1.5)
		}
		b.X, b.W = decimal(float64(i)*step+(step-width)/2), decimal(width)
		b.Y, b.H = decimal(float64(chartBase)-height), decimal(height)
	}
}

func decimal(v float64) string { return strconv.FormatFloat(v, 'f', 1, 64) }

// figure is the chart with its caption and the same numbers as a table; nothing
// where there is no chart.
func (c *chart) figure() markup {
	if c == nil {
		return ""
	}
	var end markup
	if c.Last != c.First {
		end = text(c.Last)
	}
	return chartLayout.fill(map[string]markup{
		"unit": text(c.Unit), "title": text(c.Title), "first": text(c.First), "last": text(c.Last), "top": number(c.Top),
		"width": number(chartWidth), "height": number(chartHeight), "base": number(chartBase), "below": number(chartBelow),
		"bars": each(c.Bars, bar.shape), "rows": each(c.Bars, bar.line), "end": end,
	})
}

func (b bar) shape() markup {
	return barShape.fill(map[string]markup{
		"x": text(b.X), "y": text(b.Y), "w": text(b.W), "h": text(b.H), "name": text(b.Name), "count": number(b.Count),
	})
}

// line is the row of a bar, if it stands for any event.
func (b bar) line() markup {
	if b.Count == 0 {
		return ""
	}
	return barLine.fill(map[string]markup{"name": text(b.Name), "count": number(b.Count)})
}
