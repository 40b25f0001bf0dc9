package blob_test

import (
	"io"
	"strings"
	"testing"

	"lethe/shared/blob"
	"lethe/shared/kind"
)

func TestCheckPart(t *testing.T) {
	for _, tc := range []struct {
		name   string
		number int
		start  int64
		size   int64
		want   kind.Kind
	}{
		{"whole", 1, 0, 10, ""},
		{"from the middle", blob.MaxParts, 4, 6, ""},
		{"empty", 1, 10, 0, ""},
		{"more than there is", 1, 0, 11, kind.Invalid},
		{"less than there is", 1, 0, 9, kind.Invalid},
		{"negative", 1, 0, -1, kind.Invalid},
		{"too large", 1, 0, blob.MaxPart + 1, kind.Invalid},
		{"number 0", 0, 0, 10, kind.Invalid},
		{"number 10001", blob.MaxParts + 1, 0, 10, kind.Invalid},
	} {
		r := strings.NewReader("0123456789")
		if _, err := r.Seek(tc.start, io.SeekStart); err != nil {
			t.Fatal(err)
		}
		if got := kind.Of(blob.CheckPart(tc.number, r, tc.size)); got != tc.want {
			t.Errorf("%s: got %q, want %q", tc.name, got, tc.want)
		}
		if got, want := r.Len(), 10-int(tc.start); got != want {
			t.Errorf("%s: %d bytes are left to read, want %d", tc.name, got, want)
		}
	}
}
