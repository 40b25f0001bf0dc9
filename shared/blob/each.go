package blob

import "context"

// page is how many files are listed at a time.
const page = 1000

// Each calls f with every file whose key begins with prefix, in the order of keys,
// until f returns an error, which it returns. F may delete the file it is given.
// Files that come or go meanwhile may be among them or not.
func Each(ctx context.Context, b Bucket, prefix string, f func(Info) error) error {
	for after := ""; ; {
		found, err := b.List(ctx, prefix, after, page)
		if err != nil {
			return err
		}
		for _, file := range found {
			if err := f(file); err != nil {
				return err
			}
			after = file.Key
		}
		if len(found) < page {
			return nil
		}
	}
}

// Missing calls f with every file whose key begins with prefix that one bucket has and
// another has not, in their order, until it returns an error. It lists both, some at a
// time; f may put the file where it is missing.
func Missing(ctx context.Context, from, into Bucket, prefix string, f func(Info) error) error {
	there := listing{bucket: into, prefix: prefix}
	return Each(ctx, from, prefix, func(file Info) error {
		has, err := there.has(ctx, file.Key)
		if err != nil || has {
			return err
		}
		return f(file)
	})
}

// A listing tells of keys, asked in their order, whether they are in a bucket.
type listing struct {
	bucket        Bucket
	prefix, after string
	found         []Info // of the page that begins behind after, those not passed yet
	end           bool
}

func (l *listing) has(ctx context.Context, key string) (bool, error) {
	for {
		for len(l.found) > 0 && l.found[0].Key < key {
			l.found = l.found[1:]
		}
		if len(l.found) > 0 || l.end {
			return len(l.found) > 0 && l.found[0].Key == key, nil
		}
		found, err := l.bucket.List(ctx, l.prefix, l.after, page)
		if err != nil {
			return false, err
		}
		if l.found, l.end = found, len(found) < page; !l.end {
			l.after = found[page-1].Key
		}
	}
}

// Copy puts a file of one bucket into another.
func Copy(ctx context.Context, from, into Bucket, key string) error {
	r, err := from.Get(ctx, key, 0, -1)
	if err != nil {
		return err
	}
	defer r.Close()
	return into.Put(ctx, key, r)
}
