package blobtest_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"lethe/shared/blob"
	"lethe/shared/blob/blobtest"
	"lethe/shared/kind"
)

// Each row fails one write in both ways and looks at the bucket beneath.
func TestFaulty(t *testing.T) {
	ctx := t.Context()
	for _, tc := range []struct {
		name  string
		n     int
		write func(b blob.Bucket) error
		// the files there afterwards
		without, with []string
	}{
		{"Put", 1, func(b blob.Bucket) error {
			return b.Put(ctx, "b", strings.NewReader("x"))
		}, []string{"a"}, []string{"a", "b"}},
		{"Delete", 1, func(b blob.Bucket) error {
			return b.Delete(ctx, "a")
		}, []string{"a"}, nil},
		{"Begin", 1, func(b blob.Bucket) error {
			name, err := b.Begin(ctx, "b")
			if name != "" {
				t.Errorf("a failed Begin gave the name %q", name)
			}
			return err
		}, []string{"a"}, []string{"a"}},
		{"Part", 2, func(b blob.Bucket) error {
			return upload(t, b)
		}, []string{"a"}, []string{"a"}},
		{"CopyPart", 2, func(b blob.Bucket) error {
			name, err := b.Begin(ctx, "b")
			if err != nil {
				return err
			}
			_, err = b.CopyPart(ctx, "b", name, 1, "a", 0, 1)
			return err
		}, []string{"a"}, []string{"a"}},
		{"Abort", 2, func(b blob.Bucket) error {
			name, err := b.Begin(ctx, "b")
			if err != nil {
				return err
			}
			return b.Abort(ctx, "b", name)
		}, []string{"a"}, []string{"a"}},
		{"Complete", 3, func(b blob.Bucket) error {
			return upload(t, b)
		}, []string{"a"}, []string{"a", "b"}},
		{"the write after", 2, func(b blob.Bucket) error {
			if err := b.Delete(ctx, "a"); err != nil {
				return err
			}
			return b.Put(ctx, "b", strings.NewReader("x"))
		}, nil, []string{"b"}},
	} {
		for _, fault := range blobtest.Faults() {
			m := blob.NewMemory(time.Now)
			if err := m.Put(ctx, "a", strings.NewReader("x")); err != nil {
				t.Fatal(err)
			}
			b := blobtest.NewFaulty(m, tc.n, fault)
			if got := kind.Of(tc.write(b)); got != kind.Unavailable {
				t.Errorf("%s, %s: got %q, want %q", tc.name, fault, got, kind.Unavailable)
			}
			if got := b.Writes(); got != tc.n {
				t.Errorf("%s, %s: got %d writes, want %d", tc.name, fault, got, tc.n)
			}
			want := tc.without
			if fault == blobtest.Applied {
				want = tc.with
			}
			infos, err := m.List(ctx, "", "", 10)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, info := range infos {
				got = append(got, info.Key)
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s, %s: got files %q, want %q", tc.name, fault, got, want)
			}
			if err := b.Put(ctx, "c", strings.NewReader("x")); err != nil {
				t.Errorf("%s, %s: the write after the failed one: %v", tc.name, fault, err)
			}
		}
	}
}

func upload(t *testing.T, b blob.Bucket) error {
	name, err := b.Begin(t.Context(), "b")
	if err != nil {
		return err
	}
	part, err := b.Part(t.Context(), "b", name, 1, strings.NewReader("x"), 1)
	if err != nil {
		return err
	}
	return b.Complete(t.Context(), "b", name, []blob.Part{part})
}
