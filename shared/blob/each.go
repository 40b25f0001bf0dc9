package blob

import "context"

// Each calls f with every file whose key begins with prefix, in the order of keys,
// until f returns an error, which it returns. F may delete the file it is given.
// Files that come or go meanwhile may be among them or not.
func Each(ctx context.Context, b Bucket, prefix string, f func(Info) error) error {
	const page = 1000
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
