package cloud

import (
	"log/slog"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"lethe/shared/kind"
)

// Config is what a function of a deployment has to know. The template sets it by
// environment variables, which the comments name.
type Config struct {
	Region       string        // AWS_REGION, which Lambda sets
	Control      string        // LETHE_CONTROL_TABLE, a table's name
	Subjects     string        // LETHE_SUBJECTS_TABLE, a table's name
	Restored     bool          // LETHE_RESTORED: true where the tables were put back to a point in time; false
	Bucket       string        // LETHE_BUCKET, a bucket's name
	LedgerCopy   string        // LETHE_LEDGER_COPY, a second bucket for the ledger; may be empty
	Export       string        // LETHE_EXPORT_MACHINE, a state machine's ARN
	Deletion     string        // LETHE_DELETION_MACHINE, a state machine's ARN
	Keys         string        // LETHE_KEYS, the path of the suppression keys in SSM
	KeyVersions  []int         // LETHE_KEY_VERSIONS, comma-separated, the one to write under last; 1
	CancelWindow time.Duration // LETHE_CANCEL_WINDOW; 24h
	BackupLife   time.Duration // LETHE_BACKUP_DAYS, how long backups are kept; 0, not told
	MailFrom     string        // LETHE_MAIL_FROM, whom mail is from; empty where none is sent
	PublicURL    string        // LETHE_PUBLIC_URL, where people reach the deployment; needed by what sends mail
	SessionKeys  string        // LETHE_SESSION_KEYS, the path of the session keys in SSM; empty where nobody signs in
	Issuer       string        // LETHE_OIDC_ISSUER, an OpenID Connect provider; may be empty
	Client       string        // LETHE_OIDC_CLIENT_ID, the client that Lethe is to it
	Secret       string        // LETHE_OIDC_SECRET, the name in SSM of the client's secret; empty for a client without one
	Level        slog.Level    // LETHE_LOG: debug, info, warn or error; info
}

// ConfigFromEnv reads the environment. Its error, of kind Invalid, is one
// sentence that names every variable that is wrong or missing.
func ConfigFromEnv() (Config, error) {
	e := environment{}
	c := Config{
		Region:     e.match("AWS_REGION", `[a-z]{2}(-[a-z]+)+-\d`),
		Control:    e.match("LETHE_CONTROL_TABLE", tableName),
		Subjects:   e.match("LETHE_SUBJECTS_TABLE", tableName),
		Bucket:     e.match("LETHE_BUCKET", bucketName),
		Export:     e.match("LETHE_EXPORT_MACHINE", machineARN),
		Deletion:   e.match("LETHE_DELETION_MACHINE", machineARN),
		Keys:       e.match("LETHE_KEYS", parameterName),
		LedgerCopy: e.optional("LETHE_LEDGER_COPY", bucketName),
	}
	c.MailFrom = e.optional("LETHE_MAIL_FROM", `[^<>@]+ <[^<>@\s]+@[^<>@\s]+>`)
	c.PublicURL = e.optional("LETHE_PUBLIC_URL", `https?://[^/?#\s]+`)
	c.SessionKeys = e.optional("LETHE_SESSION_KEYS", parameterName)
	if c.Issuer = e.optional("LETHE_OIDC_ISSUER", `https?://\S+`); c.Issuer != "" {
		c.Client = e.match("LETHE_OIDC_CLIENT_ID", `\S+`)
	}
	c.Secret = e.optional("LETHE_OIDC_SECRET", parameterName)
	c.Restored = e.yes("LETHE_RESTORED")
	c.KeyVersions = e.versions("LETHE_KEY_VERSIONS")
	c.CancelWindow = e.duration("LETHE_CANCEL_WINDOW", 24*time.Hour)
	c.BackupLife = e.days("LETHE_BACKUP_DAYS")
	c.Level = e.level("LETHE_LOG")
	if len(e.problems) > 0 {
		return Config{}, kind.Say(kind.Invalid, "The environment is not complete: "+strings.Join(e.problems, "; ")+".")
	}
	return c, nil
}

// The patterns bound no length: to count to 255 costs a function a millisecond of
// its start.
const (
	tableName     = `[A-Za-z0-9_.-]+`
	bucketName    = `[a-z0-9][a-z0-9.-]+[a-z0-9]`
	parameterName = `(/[A-Za-z0-9_.-]+)+`
	machineARN    = `arn:[a-z-]+:states:[a-z0-9-]+:\d{12}:stateMachine:[A-Za-z0-9_-]+`
)

// environment collects what is wrong while variables are read.
type environment struct{ problems []string }

func (e *environment) wrong(name, why string) { e.problems = append(e.problems, name+" "+why) }

func (e *environment) match(name, pattern string) string {
	if os.Getenv(name) == "" {
		e.wrong(name, "is not set")
		return ""
	}
	return e.optional(name, pattern)
}

func (e *environment) optional(name, pattern string) string {
	v := os.Getenv(name)
	if v != "" && !regexp.MustCompile(`^(?:`+pattern+`)$`).MatchString(v) {
		e.wrong(name, "does not look like one")
	}
	return v
}

func (e *environment) versions(name string) []int {
	v := os.Getenv(name)
	if v == "" {
		return []int{1}
	}
	var list []int
	seen := map[int]bool{}
	for _, field := range strings.Split(v, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(field))
		if err != nil || n < 1 || seen[n] {
			e.wrong(name, "is not a list of different whole numbers from 1 on")
			return nil
		}
		seen[n] = true
		list = append(list, n)
	}
	return list
}

func (e *environment) yes(name string) bool {
	v := os.Getenv(name)
	if v != "" && v != "true" {
		e.wrong(name, "is neither empty nor true")
	}
	return v == "true"
}

func (e *environment) duration(name string, unset time.Duration) time.Duration {
	v := os.Getenv(name)
	if v == "" {
		return unset
	}
	d, err := time.ParseDuration(v)
	if err != nil || d < 0 {
		e.wrong(name, "is not a duration such as 24h")
	}
	return d
}

func (e *environment) days(name string) time.Duration {
	v := os.Getenv(name)
	if v == "" {
		return 0
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 0 || n > 36500 {
		e.wrong(name, "is not a number of days from 0 to 36500")
	}
	return time.Duration(n) * 24 * time.Hour
}

func (e *environment) level(name string) slog.Level {
	var l slog.Level
	if v := os.Getenv(name); v != "" && l.UnmarshalText([]byte(v)) != nil {
		e.wrong(name, "is none of debug, info, warn, error")
	}
	return l
}
