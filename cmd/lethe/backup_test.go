package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// lethe runs a command and returns its exit status and what it wrote.
func lethe(t *testing.T, args ...string) (status int, out, diag string) {
	t.Helper()
	c := exec.CommandContext(t.Context(), "lethe", args...)
	var o, d bytes.Buffer
	c.Stdout, c.Stderr = &o, &d
	err := c.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return c.ProcessState.ExitCode(), o.String(), d.String()
}

// restored is what lethe restore --json tells.
type restored struct {
	Gaps []struct{ From, Until time.Time } `json:"erasures_unknown"`
	Lost []struct {
		Task string `json:"task_id"`
		Type string `json:"type"`
	} `json:"requests_lost"`
	Unknown  int `json:"archives_removed"`
	Erasures int `json:"erasures"`
	OptOuts  int `json:"opt_outs"`
	Erased   struct{ Events, Profiles, Edges, Subjects int }
	Alone    []struct {
		Task string `json:"task_id"`
	} `json:"certificates_alone"`
	Archives int    `json:"archives_taken_back"`
	Held     int    `json:"requests_held"`
	Ended    int    `json:"tokens_ended"`
	Token    string `json:"gdpr_token"`
	Owner    string `json:"gdpr_token_of"`
	Replaced string `json:"replaced"`
}

func restore(t *testing.T, args ...string) (r restored) {
	t.Helper()
	status, out, diag := lethe(t, append([]string{"restore", "--json"}, args...)...)
	var raw map[string]json.RawMessage
	if status != 0 || json.Unmarshal([]byte(out), &raw) != nil || json.Unmarshal([]byte(out), &r) != nil || json.Unmarshal(raw["erased_again"], &r.Erased) != nil {
		t.Fatalf("restore: status %d\n%s%s", status, out, diag)
	}
	return r
}

func visit(id, insert, mark string) sent {
	return sent{"Visit", map[string]any{"distinct_id": id, "$insert_id": insert, "time": time.Now().Add(-time.Minute).Unix(), "mark": mark}}
}

// A backup is made while the server answers. People who are erased after it was
// made are erased again before a server answers from it, a request that was open
// goes on only when it is confirmed, and no token of before works.
func TestBackupAndRestore(t *testing.T) {
	dir := t.TempDir()
	data, copied, backup := filepath.Join(dir, "data"), filepath.Join(dir, "copy"), filepath.Join(dir, "backup")
	p := startDemo(t, data, "--cancel-window", "0", "--ledger-copy", copied, "--backup-days", "30")
	p.importEvents(t, visit("forgotten", "f1", "mark-of-the-forgotten"), visit("kept", "k1", "mark-of-the-kept"), visit("waiting", "w1", "mark-of-the-waiting"),
		sent{"$identify", map[string]any{"$identified_id": "forgotten", "$anon_id": "before", "$insert_id": "i1", "time": time.Now().Add(-time.Minute).Unix()}})
	export := p.submit(t, retrievals, "forgotten", "kept")
	p.await(t, retrievals, export, "SUCCESS")
	p.stop(t, syscall.SIGTERM)
	// A deletion that waits in its window when the backup is made.
	p = startDemo(t, data, "--cancel-window", "1h", "--ledger-copy", copied)
	waiting := p.submit(t, deletions, "waiting")
	if status, out, diag := lethe(t, "backup", "--data", data, backup); status != 0 || !strings.Contains(out, backup) {
		t.Fatalf("backup: status %d %s%s", status, out, diag)
	}
	p.importEvents(t, visit("after", "a1", "mark-of-after"))
	p.stop(t, syscall.SIGTERM)
	p = startDemo(t, data, "--cancel-window", "0", "--ledger-copy", copied, "--backup-days", "30")
	erased := p.submit(t, deletions, "forgotten")
	p.await(t, deletions, erased, "SUCCESS")
	const optOuts = "/api/app/opt-outs"
	if a := p.do(t, http.MethodPost, optOuts+"?token="+p.Token, `{"distinct_ids":["out"]}`, "Authorization", "Bearer "+p.GDPR); a.status != http.StatusOK {
		t.Fatalf("opt out: %d %s", a.status, a.body)
	}
	certificate := p.do(t, http.MethodGet, "/api/app/requests/"+erased+"/certificate?token="+p.Token, "", "Authorization", "Bearer "+p.GDPR)
	var c struct {
		Completed time.Time  `json:"completed"`
		Until     *time.Time `json:"backups_until"`
	}
	if err := json.Unmarshal(certificate.body, &c); err != nil || c.Until == nil || c.Until.Sub(c.Completed) != 30*24*time.Hour {
		t.Errorf("the certificate says backups hold the data until %v, %v", c.Until, err)
	}
	before := p.GDPR
	p.kill(t)

	// A backup is no data directory, and nothing spoils it.
	if status, _, diag := lethe(t, "serve", "--demo", "--json", "--listen", "127.0.0.1:0", "--data", backup); status != 3 || !strings.Contains(diag, "lethe restore") {
		t.Errorf("serve of a backup: status %d %q", status, diag)
	}
	got := restore(t, backup, "--data", data)
	must(t, "audit", "verify", "--data", data)
	if trail := must(t, "audit", "export", "--data", data); !strings.Contains(trail, "were lost with the records of after the backup") {
		t.Errorf("the audit trail does not tell of entries that were lost: %s", trail)
	}
	if got.Owner != demoOwner {
		t.Errorf("the new token is told to be of %q", got.Owner)
	}
	if got.Erasures != 1 || got.Erased.Events != 2 || got.Erased.Edges != 1 || got.Erased.Subjects != 2 || got.OptOuts != 1 || got.Archives != 1 || got.Held != 1 || got.Ended != 1 || len(got.Gaps) > 0 || got.Lost == nil || len(got.Lost) > 0 || len(got.Alone) != 1 || got.Alone[0].Task != erased {
		t.Errorf("restore tells %+v", got)
	}
	if found := holding(t, data, "mark-of-the-forgotten", "mark-of-after"); len(found) > 0 {
		t.Errorf("the restored directory: %s", strings.Join(found, ", "))
	}
	if found := holding(t, got.Replaced, "mark-of-after"); len(found) == 0 {
		t.Error("the directory of before does not hold what it held")
	}
	p = startDemo(t, data, "--cancel-window", "0", "--ledger-copy", copied)
	if p.GDPR == before || p.GDPR != got.Token {
		t.Error("the demo does not know its new token")
	}
	if a := p.do(t, http.MethodGet, retrievals+"?token="+p.Token, "", "Authorization", "Bearer "+before); a.status != http.StatusUnauthorized {
		t.Errorf("a token of before: got %d, want 401", a.status)
	}
	if a := p.do(t, http.MethodGet, retrievals+export+"/download?token="+p.Token, "", "Authorization", "Bearer "+p.GDPR); a.status != http.StatusGone {
		t.Errorf("the archive with the forgotten: got %d, want 410", a.status)
	}
	task := p.submit(t, retrievals, "kept", "waiting")
	p.await(t, retrievals, task, "SUCCESS")
	if x := unpack(t, p.download(t, task)); !x.has("mark", "mark-of-the-kept") || !x.has("mark", "mark-of-the-waiting") {
		t.Error("what was kept did not come back")
	}
	if status, r := p.gdpr(t, http.MethodGet, "/api/app/requests/"+waiting, ""); status != http.StatusOK || r["status"] != "STAGING" || r["hold"] != "restore" {
		t.Errorf("the deletion that was open: %d %v", status, r)
	}
	if status, r := p.gdpr(t, http.MethodPost, "/api/app/requests/"+waiting+"/confirm", ""); status != http.StatusOK {
		t.Errorf("confirm: %d %v", status, r)
	}
	p.await(t, deletions, waiting, "SUCCESS")
	p.stop(t, syscall.SIGTERM)
}

// A data directory that was put back by other means is not served while the copy
// of the ledger knows more, nor while a restore of it is unfinished.
func TestRestoreInPlace(t *testing.T) {
	dir := t.TempDir()
	data, copied, snapshot := filepath.Join(dir, "data"), filepath.Join(dir, "copy"), filepath.Join(dir, "snapshot")
	p := startDemo(t, data, "--cancel-window", "0", "--ledger-copy", copied)
	p.importEvents(t, visit("forgotten", "f1", "mark-of-the-forgotten"))
	p.stop(t, syscall.SIGTERM)
	if err := os.CopyFS(snapshot, os.DirFS(data)); err != nil {
		t.Fatal(err)
	}
	p = startDemo(t, data, "--cancel-window", "0", "--ledger-copy", copied)
	p.await(t, deletions, p.submit(t, deletions, "forgotten"), "SUCCESS")
	p.stop(t, syscall.SIGTERM)

	refused := func(says string) {
		t.Helper()
		status, out, diag := lethe(t, "serve", "--demo", "--json", "--listen", "127.0.0.1:0", "--data", snapshot, "--ledger-copy", copied)
		if status != 3 || out != "" || !strings.Contains(diag, says) {
			t.Fatalf("serve: status %d, %q, %q; want 3 and %q", status, out, diag, says)
		}
	}
	refused("lethe restore")
	// Nor in the directory that has the ledger, with the old records in it.
	if err := os.CopyFS(filepath.Join(dir, "mixed"), os.DirFS(data)); err != nil {
		t.Fatal(err)
	}
	mixed := filepath.Join(dir, "mixed")
	for _, name := range []string{"lethe.db", "lethe.db-wal"} {
		text, err := os.ReadFile(filepath.Join(snapshot, name))
		if err == nil {
			err = os.WriteFile(filepath.Join(mixed, name), text, 0o600)
		}
		if err != nil && (name == "lethe.db" || !os.IsNotExist(err)) {
			t.Fatal(err)
		}
	}
	if status, _, diag := lethe(t, "serve", "--demo", "--json", "--listen", "127.0.0.1:0", "--data", mixed); status != 3 || !strings.Contains(diag, "lethe restore") {
		t.Errorf("serve of old records beside the ledger: status %d %q", status, diag)
	}
	if got := restore(t, "--data", mixed); got.Erased.Subjects != 1 {
		t.Errorf("restore of them tells %+v", got)
	}
	if found := holding(t, mixed, "mark-of-the-forgotten"); len(found) > 0 {
		t.Errorf("still there: %s", strings.Join(found, ", "))
	}
	startDemo(t, mixed).stop(t, syscall.SIGTERM)
	// The records are current now, and nothing more is to be found without a copy.
	if status, _, diag := lethe(t, "restore", "--data", mixed); status != 2 || !strings.Contains(diag, "--ledger-copy") {
		t.Errorf("restore of current records without a copy: status %d %q", status, diag)
	}
	if err := os.WriteFile(filepath.Join(snapshot, "restore-unfinished"), []byte("with a copy of the ledger\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	refused("was cut off")
	if status, _, diag := lethe(t, "restore", "--data", snapshot); status != 2 || !strings.Contains(diag, "name it again") {
		t.Errorf("restore without the copy that it had: status %d %q", status, diag)
	}
	if status, _, diag := lethe(t, "backup", "--data", snapshot, filepath.Join(dir, "b")); status != 3 || !strings.Contains(diag, "was cut off") {
		t.Errorf("backup of it: status %d %q", status, diag)
	}
	if got := restore(t, "--data", snapshot, "--ledger-copy", copied); got.Erased.Subjects != 1 || got.Replaced != "" {
		t.Errorf("restore tells %+v", got)
	}
	if found := holding(t, snapshot, "mark-of-the-forgotten"); len(found) > 0 {
		t.Errorf("still there: %s", strings.Join(found, ", "))
	}
	startDemo(t, snapshot, "--ledger-copy", copied).stop(t, syscall.SIGTERM)
}

// A database file that was put back alone does not know what was cancelled since, of
// which no ledger tells. It is not served, and a restore holds what was open.
func TestRecordsPutBackAlone(t *testing.T) {
	dir := t.TempDir()
	data := filepath.Join(dir, "data")
	p := startDemo(t, data, "--cancel-window", "1s")
	p.importEvents(t, visit("staying", "s1", "mark-of-who-stays"))
	p.stop(t, syscall.SIGTERM)
	p = startDemo(t, data, "--cancel-window", "2s")
	task := p.submit(t, deletions, "staying")
	p.kill(t)
	old, err := os.ReadFile(filepath.Join(data, "lethe.db"))
	if err != nil {
		t.Fatal(err)
	}
	log, err := os.ReadFile(filepath.Join(data, "lethe.db-wal"))
	if err != nil {
		t.Fatal(err)
	}
	p = startDemo(t, data, "--cancel-window", "2s")
	if status, _ := p.gdpr(t, "DELETE", deletions+task+"/", ""); status != 204 {
		t.Fatalf("cancel: %d", status)
	}
	p.stop(t, syscall.SIGTERM)
	if err := os.WriteFile(filepath.Join(data, "lethe.db"), old, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(data, "lethe.db-wal"), log, 0o600); err != nil {
		t.Fatal(err)
	}
	// However often it is tried, and whatever opens it meanwhile.
	for range 2 {
		status, _, diag := lethe(t, "serve", "--demo", "--json", "--listen", "127.0.0.1:0", "--data", data)
		if status != 3 || !strings.Contains(diag, "older than the directory") {
			t.Fatalf("serve: status %d, %q", status, diag)
		}
		must(t, "member", "list", "--data", data)
	}
	if got := restore(t, "--data", data); got.Held != 1 {
		t.Errorf("restore holds %d requests", got.Held)
	}
	p = startDemo(t, data, "--cancel-window", "0")
	time.Sleep(3 * time.Second) // its window is over
	if _, found := p.gdpr(t, "GET", deletions+task+"/", ""); found["status"] != "STAGING" {
		t.Errorf("after the restore the request is %v", found["status"])
	}
	if len(holding(t, data, "mark-of-who-stays")) == 0 {
		t.Error("who took the request back was erased")
	}
	p.stop(t, syscall.SIGTERM)
}

// Without a ledger but that of the backup, it is said from when on none is known.
func TestRestoreSaysWhatIsNotKnown(t *testing.T) {
	dir := t.TempDir()
	data, backup := filepath.Join(dir, "data"), filepath.Join(dir, "backup")
	p := startDemo(t, data)
	p.stop(t, syscall.SIGTERM)
	if status, _, diag := lethe(t, "backup", "--data", data, backup); status != 0 {
		t.Fatalf("backup with no server: %d %s", status, diag)
	}
	elsewhere := filepath.Join(dir, "elsewhere")
	status, out, diag := lethe(t, "restore", backup, "--data", elsewhere)
	if status != 0 || !strings.Contains(out, "NOT KNOWN") || !strings.Contains(out, "lethe_gdpr_") || !strings.Contains(out, "not known here") {
		t.Errorf("restore: %d\n%s%s", status, out, diag)
	}
	// The next restore still says so, until somebody has removed the note.
	if got := restore(t, backup, "--data", elsewhere); len(got.Gaps) != 1 || !got.Gaps[0].From.Before(got.Gaps[0].Until) {
		t.Errorf("a second restore tells of the gaps %+v", got.Gaps)
	}
	if err := os.Remove(filepath.Join(elsewhere, "erasures-unknown")); err != nil {
		t.Fatal(err)
	}
	if got := restore(t, backup, "--data", elsewhere); got.Gaps == nil || len(got.Gaps) > 0 {
		t.Errorf("a third restore tells of the gaps %+v", got.Gaps)
	}
	// What an earlier restore has replaced is not the directory that was lost.
	if err := os.RemoveAll(elsewhere); err != nil {
		t.Fatal(err)
	}
	if got := restore(t, backup, "--data", elsewhere); len(got.Gaps) == 0 || got.Lost != nil || got.Replaced != "" {
		t.Errorf("a restore after the directory was lost tells %+v", got)
	}
	for _, c := range []struct {
		status int
		says   string
		args   []string
	}{
		{3, "no data directory", []string{"backup", "--data", filepath.Join(dir, "none"), filepath.Join(dir, "b")}},
		{3, "already", []string{"backup", "--data", data, backup}},
		{2, "inside the data directory", []string{"backup", "--data", data, filepath.Join(data, "backup")}},
		{7, "place for the backup", []string{"backup", "--data", data, filepath.Join(backup, "backup.json", "x")}},
		{2, "takes DIRECTORY", []string{"backup", "--data", data}},
		{1, "no whole backup", []string{"restore", data, "--data", filepath.Join(dir, "other")}},
		{2, "no copy of the ledger", []string{"restore", backup, "--data", data, "--ledger-copy", dir}},
		{3, "no data directory", []string{"restore", "--data", filepath.Join(dir, "none"), "--ledger-copy", filepath.Join(data, "files")}},
	} {
		if status, out, diag := lethe(t, c.args...); status != c.status || out != "" || !strings.HasPrefix(diag, "lethe: ") || !strings.Contains(diag, c.says) {
			t.Errorf("%v: got %d %q %q, want %d and %q", c.args, status, out, diag, c.status, c.says)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "none")); err == nil {
		t.Error("a directory was made")
	}
}

// What was sent in after the backup is listed, from the directory that is replaced,
// unless that cannot be read.
func TestRestoreTellsWhatIsLost(t *testing.T) {
	dir := t.TempDir()
	data, backup := filepath.Join(dir, "data"), filepath.Join(dir, "backup")
	p := startDemo(t, data, "--cancel-window", "1h")
	p.importEvents(t, visit("somebody", "s1", "mark-of-somebody"))
	if status, _, diag := lethe(t, "backup", "--data", data, backup); status != 0 {
		t.Fatalf("backup: %d %s", status, diag)
	}
	deletion, export := p.submit(t, deletions, "somebody"), p.submit(t, retrievals, "somebody")
	p.await(t, retrievals, export, "SUCCESS")
	p.stop(t, syscall.SIGTERM)
	got := restore(t, backup, "--data", data)
	if len(got.Lost) != 1 || got.Lost[0].Task != deletion || got.Lost[0].Type != "deletion" {
		t.Errorf("restore tells of the lost requests %+v, want the deletion", got.Lost)
	}
	if err := os.WriteFile(filepath.Join(data, "lethe.db"), []byte("no database any more"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := restore(t, backup, "--data", data); got.Lost != nil {
		t.Errorf("with the old records damaged, restore tells of the lost requests %+v", got.Lost)
	}
}

// While a directory is restored, no second restore of it goes on, and Ctrl-C leaves
// everything as it was.
func TestRestoreThatIsStopped(t *testing.T) {
	dir := t.TempDir()
	data, backup := filepath.Join(dir, "data"), filepath.Join(dir, "backup")
	startDemo(t, data).stop(t, syscall.SIGTERM)
	if status, _, diag := lethe(t, "backup", "--data", data, backup); status != 0 {
		t.Fatalf("backup: %d %s", status, diag)
	}
	if err := os.Truncate(filepath.Join(backup, "records.db"), 1<<40); err != nil { // for some time
		t.Fatal(err)
	}
	for _, data := range []string{data, filepath.Join(dir, "missing")} {
		c := exec.CommandContext(t.Context(), "lethe", "restore", backup, "--data", data)
		var diag bytes.Buffer
		c.Stderr = &diag
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		until(t, "the new directory", func() bool { return exists(filepath.Join(data+".restoring", "lethe.db")) })
		if status, _, diag := lethe(t, "restore", backup, "--data", data); status != 5 || !strings.Contains(diag, "is at a restore in the same place") {
			t.Errorf("a second restore: %d %q", status, diag)
		}
		if err := c.Process.Signal(syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
		_ = c.Wait()
		if status := c.ProcessState.ExitCode(); status != 4 || diag.String() != "lethe: The restore was stopped: run it again.\n" {
			t.Errorf("the first one: %d %q", status, diag.String())
		}
		if left, err := filepath.Glob(data + ".re*"); err != nil || len(left) > 0 {
			t.Errorf("left over: %v, %v", left, err)
		}
	}
	startDemo(t, data).stop(t, syscall.SIGTERM)
}

// A copy of the ledger that is set up late has all of it once the server is ready: with
// the data directory lost, it tells a restore of an older backup whom to erase again.
func TestLedgerCopySetUpLate(t *testing.T) {
	dir := t.TempDir()
	data, copied, backup := filepath.Join(dir, "data"), filepath.Join(dir, "copy"), filepath.Join(dir, "backup")
	p := startDemo(t, data, "--cancel-window", "0")
	p.importEvents(t, visit("forgotten", "f1", "mark-of-the-forgotten"))
	if status, _, diag := lethe(t, "backup", "--data", data, backup); status != 0 {
		t.Fatalf("backup: %d %s", status, diag)
	}
	p.await(t, deletions, p.submit(t, deletions, "forgotten"), "SUCCESS")
	p.stop(t, syscall.SIGTERM)
	startDemo(t, data, "--ledger-copy", copied).kill(t)
	if err := os.RemoveAll(data); err != nil {
		t.Fatal(err)
	}
	if got := restore(t, backup, "--data", data, "--ledger-copy", copied); got.Erased.Subjects != 1 || len(got.Gaps) > 0 {
		t.Errorf("restore tells %+v", got)
	}
	if found := holding(t, data, "mark-of-the-forgotten"); len(found) > 0 {
		t.Errorf("still there: %s", strings.Join(found, ", "))
	}
}

// A ledger copy of another deployment is neither used nor written to.
func TestLedgerCopyOfAnother(t *testing.T) {
	dir := t.TempDir()
	data, other, copied := filepath.Join(dir, "data"), filepath.Join(dir, "other"), filepath.Join(dir, "copy")
	p := startDemo(t, other, "--cancel-window", "0", "--ledger-copy", copied)
	p.importEvents(t, visit("forgotten", "f1", "mark-of-the-forgotten"))
	p.await(t, deletions, p.submit(t, deletions, "forgotten"), "SUCCESS")
	p.stop(t, syscall.SIGTERM)
	startDemo(t, data).stop(t, syscall.SIGTERM)
	for _, args := range [][]string{
		{"serve", "--demo", "--json", "--listen", "127.0.0.1:0", "--data", data, "--ledger-copy", copied},
		{"restore", "--data", data, "--ledger-copy", copied},
	} {
		if status, _, diag := lethe(t, args...); status != 8 || !strings.Contains(diag, "another deployment") {
			t.Errorf("%s: status %d %q, want 8", args[0], status, diag)
		}
	}
}

// A restore that is killed anywhere leaves the data directory whole, old or new,
// and never one in which the erased are back.
func TestRestoreSurvivesKills(t *testing.T) {
	dir := t.TempDir()
	data, copied, backup := filepath.Join(dir, "data"), filepath.Join(dir, "copy"), filepath.Join(dir, "backup")
	p := startDemo(t, data, "--cancel-window", "0", "--ledger-copy", copied)
	p.importEvents(t, visit("forgotten", "f1", "mark-of-the-forgotten"))
	if status, _, diag := lethe(t, "backup", "--data", data, backup); status != 0 {
		t.Fatalf("backup: %d %s", status, diag)
	}
	p.await(t, deletions, p.submit(t, deletions, "forgotten"), "SUCCESS")
	p.stop(t, syscall.SIGTERM)
	began := time.Now()
	restore(t, backup, "--data", data, "--ledger-copy", copied)
	life := time.Since(began)
	for n := range 25 {
		c := exec.CommandContext(t.Context(), "lethe", "restore", backup, "--data", data, "--ledger-copy", copied)
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(rand.Int64N(int64(life))))
		_ = c.Process.Kill()
		_ = c.Wait()
		if _, err := os.Stat(data); err != nil {
			continue // between its two renames: the next restore goes on
		}
		if found := holding(t, data, "mark-of-the-forgotten"); len(found) > 0 {
			t.Fatalf("kill %d: %s", n, strings.Join(found, ", "))
		}
	}
	restore(t, backup, "--data", data, "--ledger-copy", copied)
	if left, err := filepath.Glob(data + ".restoring*"); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	startDemo(t, data, "--ledger-copy", copied).stop(t, syscall.SIGTERM)
}
