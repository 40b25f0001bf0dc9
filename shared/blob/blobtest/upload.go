package blobtest

import (
	"bytes"
	"io"
	"slices"
	"sync"
	"testing"
	"testing/iotest"

	"lethe/shared/blob"
	"lethe/shared/kind"
)

// upload is one upload in parts that fails its test on every error.
type upload struct {
	t         *testing.T
	b         blob.Bucket
	key, name string
	parts     []blob.Part
}

func start(t *testing.T, b blob.Bucket, key string) *upload {
	t.Helper()
	name, err := b.Begin(t.Context(), key)
	if err != nil || name == "" {
		t.Fatalf("Begin: got %q, %v; want a name", name, err)
	}
	return &upload{t: t, b: b, key: key, name: name}
}

// part stores a part and remembers it for complete.
func (u *upload) part(number int, data []byte) blob.Part {
	u.t.Helper()
	p, err := u.b.Part(u.t.Context(), u.key, u.name, number, bytes.NewReader(data), int64(len(data)))
	if err != nil {
		u.t.Fatalf("Part %d: %v", number, err)
	}
	return u.remember(p, number, int64(len(data)))
}

// copy stores a part from a file and remembers it for complete.
func (u *upload) copy(number int, src string, off, n int64) blob.Part {
	u.t.Helper()
	p, err := u.b.CopyPart(u.t.Context(), u.key, u.name, number, src, off, n)
	if err != nil {
		u.t.Fatalf("CopyPart %d: %v", number, err)
	}
	return u.remember(p, number, n)
}

func (u *upload) remember(p blob.Part, number int, size int64) blob.Part {
	u.t.Helper()
	if p.Number != number || p.Tag == "" || p.Size != size {
		u.t.Errorf("part %d of %d bytes: got %+v", number, size, p)
	}
	u.parts = slices.DeleteFunc(u.parts, func(old blob.Part) bool { return old.Number == number })
	u.parts = append(u.parts, p)
	slices.SortFunc(u.parts, func(a, b blob.Part) int { return a.Number - b.Number })
	return p
}

func (u *upload) complete() {
	u.t.Helper()
	if err := u.b.Complete(u.t.Context(), u.key, u.name, u.parts); err != nil {
		u.t.Fatalf("Complete: %v", err)
	}
}

// complete makes a file by an upload of these parts, numbered from 1.
func complete(t *testing.T, b blob.Bucket, key string, parts ...[]byte) *upload {
	t.Helper()
	u := start(t, b, key)
	for i, data := range parts {
		u.part(i+1, data)
	}
	u.complete()
	return u
}

func testUpload(t *testing.T, d Driver) {
	one, two, three := some(1, blob.MinPart), some(2, blob.MinPart+12_345), some(3, 7)
	parts := map[int][]byte{1: one, 2: two, 3: three, 17: one, 400: two, 9999: three, 10_000: nil}
	for _, tc := range []struct {
		name    string
		arrival []int
	}{
		{"in order", []int{1, 2, 3}},
		{"backwards", []int{3, 2, 1}},
		{"mixed, with gaps", []int{17, 9999, 400}},
		{"one small part", []int{3}},
		{"an empty last part", []int{1, 10_000}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			u := start(t, d.Bucket, "uploads/file.bin")
			for _, number := range tc.arrival {
				u.part(number, parts[number])
			}
			u.complete()
			var want []byte
			for _, p := range u.parts {
				want = append(want, parts[p.Number]...)
			}
			wantFile(t, d.Bucket, "uploads/file.bin", want)
		})
	}
	t.Run("side by side", func(t *testing.T) {
		u := start(t, d.Bucket, "uploads/file.bin")
		got, errs := make([]blob.Part, 4), make([]error, 4)
		var all sync.WaitGroup
		for i := range got {
			all.Go(func() {
				data := some(byte(i), blob.MinPart+int64(i))
				got[i], errs[i] = d.Bucket.Part(t.Context(), u.key, u.name, i+1, bytes.NewReader(data), int64(len(data)))
			})
		}
		all.Wait()
		var want []byte
		for i, err := range errs {
			if err != nil {
				t.Fatal(err)
			}
			want = append(want, some(byte(i), blob.MinPart+int64(i))...)
		}
		u.parts = got
		u.complete()
		wantFile(t, d.Bucket, "uploads/file.bin", want)
	})
}

func testUploadIsInvisible(t *testing.T, d Driver) {
	u := start(t, d.Bucket, "invisible/file.bin")
	wantAbsent(t, d.Bucket, u.key)
	u.part(1, some(1, blob.MinPart))
	u.part(2, some(2, 5))
	wantAbsent(t, d.Bucket, u.key)
	put(t, d.Bucket, u.key, []byte("old"))
	infos, err := d.Bucket.List(t.Context(), "", "", 10)
	if err != nil || !slices.Equal(names(infos), []string{u.key}) {
		t.Errorf("List while an upload is under way: got %q, %v", names(infos), err)
	}
	wantFile(t, d.Bucket, u.key, []byte("old"))
	u.complete()
	wantFile(t, d.Bucket, u.key, append(some(1, blob.MinPart), some(2, 5)...))
}

func testUploadSmallParts(t *testing.T, d Driver) {
	enough, small := some(1, blob.MinPart), some(2, blob.MinPart-1)
	for name, parts := range map[string][][]byte{
		"first":  {small, enough, enough},
		"middle": {enough, small, enough},
		"empty":  {{}, enough},
	} {
		u := start(t, d.Bucket, "small/file.bin")
		for i, data := range parts {
			u.part(i+1, data)
		}
		err := d.Bucket.Complete(t.Context(), u.key, u.name, u.parts)
		wantKind(t, "Complete with a small part, "+name, err, kind.Invalid)
		wantAbsent(t, d.Bucket, u.key)

		var want []byte
		for i := range parts {
			u.part(i+1, enough)
			want = append(want, enough...)
		}
		u.complete()
		wantFile(t, d.Bucket, u.key, want)
		if err := d.Bucket.Delete(t.Context(), u.key); err != nil {
			t.Fatal(err)
		}
	}
}

func testUploadPartReplaced(t *testing.T, d Driver) {
	first, middle, last := some(1, blob.MinPart), some(2, blob.MinPart+1), some(3, 10)
	for _, number := range []int{1, 2, 3} {
		u := start(t, d.Bucket, "replaced/file.bin")
		u.part(1, first)
		u.part(2, middle)
		u.part(3, last)
		stale := slices.Clone(u.parts)
		change := some(9, blob.MinPart+77)
		u.part(number, change)

		err := d.Bucket.Complete(t.Context(), u.key, u.name, stale)
		wantKind(t, "Complete with the tag of a part that was replaced", err, kind.Conflict)
		wantAbsent(t, d.Bucket, u.key)

		u.complete()
		want := [][]byte{first, middle, last}
		want[number-1] = change
		wantFile(t, d.Bucket, u.key, slices.Concat(want...))
		if err := d.Bucket.Delete(t.Context(), u.key); err != nil {
			t.Fatal(err)
		}
	}
}

// failing is a reader whose bytes cannot all be read.
type failing struct {
	*bytes.Reader
	r io.Reader
}

func (f failing) Read(p []byte) (int, error) { return f.r.Read(p) }

func testUploadPartReaderFails(t *testing.T, d Driver) {
	one, two := some(1, blob.MinPart), some(2, 100)
	u := start(t, d.Bucket, "part-fails/file.bin")
	u.part(1, one)
	u.part(2, two)
	for _, number := range []int{1, 2, 3} {
		broken := failing{bytes.NewReader(make([]byte, 2*mib)), io.MultiReader(content(3, mib), iotest.ErrReader(errReader))}
		if _, err := d.Bucket.Part(t.Context(), u.key, u.name, number, broken, 2*mib); err == nil {
			t.Errorf("Part %d whose reader fails: no error", number)
		}
	}
	u.complete()
	wantFile(t, d.Bucket, u.key, slices.Concat(one, two))
}

func testUploadLeavesPartsOut(t *testing.T, d Driver) {
	u := start(t, d.Bucket, "subset/file.bin")
	for i := range 4 {
		u.part(i+1, some(byte(i), blob.MinPart))
	}
	u.parts = []blob.Part{u.parts[1], u.parts[3]}
	u.complete()
	wantFile(t, d.Bucket, u.key, slices.Concat(some(1, blob.MinPart), some(3, blob.MinPart)))
}

func testUploadRefusals(t *testing.T, d Driver) {
	u := start(t, d.Bucket, "refused/file.bin")
	for _, tc := range []struct {
		name   string
		number int
		skip   int64
		size   int64
	}{
		{"number 0", 0, 0, 10},
		{"number -1", -1, 0, 10},
		{"number 10001", blob.MaxParts + 1, 0, 10},
		{"more bytes than said", 1, 0, 9},
		{"fewer bytes than said", 1, 0, 11},
		{"a negative size", 1, 0, -1},
		{"the bytes before where it stands", 1, 3, 10},
	} {
		r := bytes.NewReader(make([]byte, 10))
		_, _ = r.Seek(tc.skip, io.SeekStart)
		_, err := d.Bucket.Part(t.Context(), u.key, u.name, tc.number, r, tc.size)
		wantKind(t, "Part with "+tc.name, err, kind.Invalid)
	}

	r := bytes.NewReader(some(1, blob.MinPart+3))
	_, _ = r.Seek(3, io.SeekStart)
	one, err := d.Bucket.Part(t.Context(), u.key, u.name, 1, r, blob.MinPart)
	if err != nil {
		t.Fatalf("Part from the middle of a reader: %v", err)
	}
	u.remember(one, 1, blob.MinPart)
	two := u.part(2, some(2, 10))
	for _, tc := range []struct {
		name  string
		parts []blob.Part
		want  kind.Kind
	}{
		{"no parts", nil, kind.Invalid},
		{"parts backwards", []blob.Part{two, one}, kind.Invalid},
		{"a part twice", []blob.Part{one, one}, kind.Invalid},
		{"number 0", []blob.Part{{Number: 0, Tag: one.Tag}, two}, kind.Invalid},
		{"a part never stored", []blob.Part{one, {Number: 3, Tag: two.Tag}}, kind.Conflict},
		{"another part's tag", []blob.Part{one, {Number: 2, Tag: one.Tag}}, kind.Conflict},
	} {
		wantKind(t, "Complete with "+tc.name, d.Bucket.Complete(t.Context(), u.key, u.name, tc.parts), tc.want)
		wantAbsent(t, d.Bucket, u.key)
	}
	u.complete()
	wantFile(t, d.Bucket, u.key, slices.Concat(some(1, blob.MinPart+3)[3:], some(2, 10)))
}

// wantNoUpload fails the test unless err says that there is no such upload.
func wantNoUpload(t *testing.T, d Driver, what string, err error) {
	t.Helper()
	if err != nil && d.lack(AbsentUploads) {
		return
	}
	wantKind(t, what, err, kind.NotFound)
}

func testUploadAbsent(t *testing.T, d Driver) {
	ctx, b := t.Context(), d.Bucket
	put(t, b, "absent/source.bin", some(1, 100))
	real := start(t, b, "absent/one.bin")
	part := real.part(1, some(1, 100))
	for _, tc := range []struct{ name, key, upload string }{
		{"another key", "absent/two.bin", real.name},
		{"a name never given", "absent/one.bin", real.name[:len(real.name)-1] + "x"},
		{"no name", "absent/one.bin", ""},
		{"a path", "absent/one.bin", "../" + real.name},
		{"a folder", "absent/one.bin", "."},
		{"the folder above", "absent/one.bin", ".."},
	} {
		if tc.key != real.key && d.lack(AbsentUploads) {
			continue
		}
		_, err := b.Part(ctx, tc.key, tc.upload, 1, bytes.NewReader(nil), 0)
		wantNoUpload(t, d, "Part under "+tc.name, err)
		_, err = b.CopyPart(ctx, tc.key, tc.upload, 1, "absent/source.bin", 0, 10)
		wantNoUpload(t, d, "CopyPart under "+tc.name, err)
		wantNoUpload(t, d, "Complete under "+tc.name, b.Complete(ctx, tc.key, tc.upload, []blob.Part{part}))
		if tc.upload != "" { // without a name Abort means every upload
			wantKind(t, "Abort under "+tc.name, b.Abort(ctx, tc.key, tc.upload), "")
		}
	}
	real.complete()
	wantFile(t, b, real.key, some(1, 100))
	wantAbsent(t, b, "absent/two.bin")
}

func testUploadCompletedTwice(t *testing.T, d Driver) {
	ctx, b := t.Context(), d.Bucket
	one, two := some(1, blob.MinPart), some(2, 10)
	u := complete(t, b, "twice/file.bin", one, two)
	again := func() {
		t.Helper()
		// S3 may answer nil; what counts is that nothing changes.
		if err := b.Complete(ctx, u.key, u.name, u.parts); err != nil {
			wantNoUpload(t, d, "Complete again", err)
		}
	}
	again()
	wantFile(t, b, u.key, slices.Concat(one, two))
	wantKind(t, "Abort after Complete", b.Abort(ctx, u.key, u.name), "")
	wantFile(t, b, u.key, slices.Concat(one, two))

	put(t, b, u.key, []byte("newer"))
	again()
	wantFile(t, b, u.key, []byte("newer"))
	if err := b.Delete(ctx, u.key); err != nil {
		t.Fatal(err)
	}
	again()
	wantAbsent(t, b, u.key)
	_, err := b.Part(ctx, u.key, u.name, 3, bytes.NewReader(nil), 0)
	wantNoUpload(t, d, "Part after Complete", err)
}

func testUploadAborted(t *testing.T, d Driver) {
	ctx, b := t.Context(), d.Bucket
	put(t, b, "aborted/source.bin", []byte("source"))
	u := start(t, b, "aborted/file.bin")
	u.part(1, some(1, blob.MinPart))
	for range 2 {
		if err := b.Abort(ctx, u.key, u.name); err != nil {
			t.Fatalf("Abort: %v", err)
		}
		_, err := b.Part(ctx, u.key, u.name, 2, bytes.NewReader(nil), 0)
		wantNoUpload(t, d, "Part after Abort", err)
		_, err = b.CopyPart(ctx, u.key, u.name, 2, "aborted/source.bin", 0, 3)
		wantNoUpload(t, d, "CopyPart after Abort", err)
		wantNoUpload(t, d, "Complete after Abort", b.Complete(ctx, u.key, u.name, u.parts))
	}
	wantAbsent(t, b, u.key)

	put(t, b, u.key, []byte("old"))
	u = start(t, b, u.key)
	u.part(1, some(1, 100))
	if err := b.Abort(ctx, u.key, u.name); err != nil {
		t.Fatalf("Abort: %v", err)
	}
	wantFile(t, b, u.key, []byte("old"))

	first, second, other := start(t, b, "aborted/all.bin"), start(t, b, "aborted/all.bin"), start(t, b, "aborted/all.bin.2")
	for range 2 {
		if err := b.Abort(ctx, first.key, ""); err != nil {
			t.Fatalf("Abort of every upload: %v", err)
		}
	}
	for _, u := range []*upload{first, second} {
		_, err := b.Part(ctx, u.key, u.name, 1, bytes.NewReader(nil), 0)
		wantNoUpload(t, d, "Part after Abort of every upload", err)
	}
	other.part(1, some(1, 10))
	other.complete()
	wantFile(t, b, other.key, some(1, 10))
}

func testUploadsSideBySide(t *testing.T, d Driver) {
	first, second := start(t, d.Bucket, "side/file.bin"), start(t, d.Bucket, "side/file.bin")
	first.part(1, some(1, 10))
	second.part(1, some(2, 20))
	first.complete()
	wantFile(t, d.Bucket, "side/file.bin", some(1, 10))
	second.complete()
	wantFile(t, d.Bucket, "side/file.bin", some(2, 20))
}

func testCopyPart(t *testing.T, d Driver) {
	src := some(1, 12*mib)
	put(t, d.Bucket, "copy/source.bin", src)
	u := start(t, d.Bucket, "copy/target.bin")
	u.copy(1, "copy/source.bin", 0, blob.MinPart)
	u.part(2, some(2, blob.MinPart))
	u.copy(3, "copy/source.bin", 1000, blob.MinPart+1)
	u.copy(4, "copy/source.bin", 12*mib-5, 5)
	if err := d.Bucket.Delete(t.Context(), "copy/source.bin"); err != nil {
		t.Fatal(err)
	}
	u.complete()
	wantFile(t, d.Bucket, u.key,
		slices.Concat(src[:blob.MinPart], some(2, blob.MinPart), src[1000:1000+blob.MinPart+1], src[12*mib-5:]))
}

func testCopyPartRefusals(t *testing.T, d Driver) {
	put(t, d.Bucket, "copy/source.bin", some(1, 1000))
	u := start(t, d.Bucket, "copy/target.bin")
	for _, tc := range []struct {
		name   string
		number int
		src    string
		off, n int64
		want   kind.Kind
	}{
		{"an absent source", 1, "copy/absent.bin", 0, 10, kind.NotFound},
		{"a negative offset", 1, "copy/source.bin", -1, 10, kind.Invalid},
		{"no bytes", 1, "copy/source.bin", 0, 0, kind.Invalid},
		{"a negative size", 1, "copy/source.bin", 0, -1, kind.Invalid},
		{"a range that ends beyond the end", 1, "copy/source.bin", 0, 1001, kind.Invalid},
		{"a range beyond the end", 1, "copy/source.bin", 1000, 1, kind.Invalid},
		{"more than a part may hold", 1, "copy/source.bin", 0, blob.MaxPart + 1, kind.Invalid},
		{"number 0", 0, "copy/source.bin", 0, 10, kind.Invalid},
		{"number 10001", blob.MaxParts + 1, "copy/source.bin", 0, 10, kind.Invalid},
	} {
		if beyond := tc.off+tc.n > 1000 && tc.n <= blob.MaxPart; beyond && d.lack(CopyBounds) {
			continue
		}
		_, err := d.Bucket.CopyPart(t.Context(), u.key, u.name, tc.number, tc.src, tc.off, tc.n)
		wantKind(t, "CopyPart with "+tc.name, err, tc.want)
	}
	u.copy(1, "copy/source.bin", 999, 1)
	u.complete()
	wantFile(t, d.Bucket, u.key, some(1, 1000)[999:])
}
