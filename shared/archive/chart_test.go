package archive

import "testing"

func TestChart(t *testing.T) {
	tests := []struct {
		name        string
		months      map[string]int64
		unit        string
		bars        int
		first, last string
		top         int64
	}{
		{"one month", map[string]int64{"2026-02": 3}, "month", 1, "2026-02", "2026-02", 3},
		{"a gap over a new year", map[string]int64{"2025-11": 3, "2026-02": 9}, "month", 4, "2025-11", "2026-02", 9},
		{"four years", map[string]int64{"2022-01": 1, "2025-12": 2}, "month", 48, "2022-01", "2025-12", 2},
		{"a month more", map[string]int64{"2022-01": 1, "2025-12": 2, "2026-01": 2, "2022-07": 5}, "year", 5, "2022", "2026", 6},
		{"fifty years", map[string]int64{"1971-01": 1, "2026-03": 2}, "year", 56, "1971", "2026", 2},
	}
	for _, test := range tests {
		c := chartOf(test.months)
		if c.Unit != test.unit || len(c.Bars) != test.bars || c.First != test.first || c.Last != test.last || c.Top != test.top {
			t.Errorf("%s: got %d bars by %s, %s to %s, top %d", test.name, len(c.Bars), c.Unit, c.First, c.Last, c.Top)
		}
		var sum, want int64
		for _, b := range c.Bars {
			sum += b.Count
			if (b.H != "0.0") != (b.Count > 0) {
				t.Errorf("%s: a bar of %d is %s high", test.name, b.Count, b.H)
			}
		}
		for _, n := range test.months {
			want += n
		}
		if sum != want {
			t.Errorf("%s: the bars show %d, want %d", test.name, sum, want)
		}
	}
}
