package local

import "context"

// expireRows is how many items one transaction of Expire deletes at the most.
const expireRows = 200

// Expire deletes the items that have expired, which no reader sees any more, in
// small transactions, between which others write. The server calls it from time
// to time.
func (db *DB) Expire(ctx context.Context) error {
	const op = "expire"
	for _, name := range tableNames {
		for {
			if err := ready(ctx, op, nil); err != nil {
				return err
			}
			deleted := 0
			err := db.submit(ctx, op, db.tasks, &task{do: func(w *writer) (_, fault error) {
				deleted, fault = w.tables[name].expireSome(db.now().Unix())
				return nil, fault
			}})
			if err != nil {
				return err
			}
			if deleted < expireRows {
				break
			}
		}
	}
	return nil
}

func (s *writing) expireSome(now int64) (int, error) {
	if err := s.expire.BindInt64(1, now); err != nil {
		return 0, err
	}
	if err := s.expire.BindInt64(2, expireRows); err != nil {
		return 0, err
	}
	if err := s.expire.Exec(); err != nil {
		return 0, err
	}
	return int(s.expire.Conn().Changes()), nil
}
