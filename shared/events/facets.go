package events

import (
	"time"

	"lethe/shared/archive"
	"lethe/shared/dsr"
)

// summarise turns a record into the summary that a scope of Categories or Sources
// gets in its place.
func summarise(of dsr.Disclosure, rec dsr.Record) dsr.Record {
	s := &dsr.Summary{Events: 1, First: rec.Time, Last: rec.Time}
	property := archive.OfEventProperty
	if rec.Profile {
		s.Events, s.Profiles = 0, 1
		property = archive.OfProfileProperty
	} else if of == dsr.Categories {
		s.Facets = append(s.Facets, archive.Facet{Of: archive.OfEvent, Name: rec.Name, Count: 1, First: rec.Time, Last: rec.Time})
	}
	for m := range members(rec.Data) {
		f := archive.Facet{Name: string(m.name), Count: 1, First: rec.Time, Last: rec.Time}
		if of == dsr.Categories {
			f.Of, f.Type = property, typeOf(m.value)
		} else {
			f.Of = meansOf(m.name)
			f.Value = string(appendCompact(nil, m.value))
			if f.Of == "" || isNull(m.value) {
				continue
			}
		}
		s.Facets = append(s.Facets, f)
	}
	return dsr.Record{Cluster: rec.Cluster, ID: rec.ID, Summary: s}
}

// typeOf is the JSON type of a value.
func typeOf(v []byte) string {
	switch {
	case isString(v):
		return "string"
	case isNumber(v):
		return "number"
	case isObject(v):
		return "object"
	case isList(v):
		return "array"
	case isNull(v):
		return "null"
	}
	return "boolean"
}

// since and until bound the sort keys of the events of a period.
func since(p dsr.Period) string {
	if p.From.UnixMilli() <= 0 {
		return eventPrefix
	}
	return string(appendTimeSK(nil, p.From))
}

func until(p dsr.Period) string {
	if p.To.IsZero() {
		return eventEnd
	}
	return string(appendTimeSK(nil, p.To.Add(time.Millisecond)))
}
