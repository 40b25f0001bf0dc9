package cloud_test

import (
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"time"

	"lethe/shared/cloud"
	"lethe/shared/kind"
)

// setEnvironment sets what a function needs and then what differs.
func setEnvironment(t *testing.T, differs map[string]string) {
	t.Helper()
	for name, value := range map[string]string{
		"AWS_REGION": "eu-central-1", "LETHE_CONTROL_TABLE": "lethe-ControlTable-1AB", "LETHE_SUBJECTS_TABLE": "lethe-SubjectsTable-2CD",
		"LETHE_BUCKET":           "lethe-bucket-3ef",
		"LETHE_EXPORT_MACHINE":   "arn:aws:states:eu-central-1:123456789012:stateMachine:lethe-export",
		"LETHE_DELETION_MACHINE": "arn:aws:states:eu-central-1:123456789012:stateMachine:lethe-deletion",
		"LETHE_KEYS":             "/lethe/lethe/suppression",
		"LETHE_RESTORED":         "",
		"LETHE_KEY_VERSIONS":     "", "LETHE_CANCEL_WINDOW": "", "LETHE_LOG": "", "LETHE_LEDGER_COPY": "", "LETHE_BACKUP_DAYS": "",
		"LETHE_SESSION_KEYS": "", "LETHE_OIDC_ISSUER": "", "LETHE_OIDC_CLIENT_ID": "", "LETHE_OIDC_SECRET": "",
	} {
		t.Setenv(name, value)
	}
	for name, value := range differs {
		t.Setenv(name, value)
	}
}

func TestConfigFromEnv(t *testing.T) {
	setEnvironment(t, nil)
	got, err := cloud.ConfigFromEnv()
	if err != nil {
		t.Fatal(err)
	}
	want := cloud.Config{
		Region: "eu-central-1", Control: "lethe-ControlTable-1AB", Subjects: "lethe-SubjectsTable-2CD", Bucket: "lethe-bucket-3ef",
		Export:   "arn:aws:states:eu-central-1:123456789012:stateMachine:lethe-export",
		Deletion: "arn:aws:states:eu-central-1:123456789012:stateMachine:lethe-deletion",
		Keys:     "/lethe/lethe/suppression", KeyVersions: []int{1}, CancelWindow: 24 * time.Hour,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	setEnvironment(t, map[string]string{
		"LETHE_KEY_VERSIONS": "2, 1", "LETHE_CANCEL_WINDOW": "90m", "LETHE_LOG": "warn", "LETHE_LEDGER_COPY": "other-bucket",
		"LETHE_BACKUP_DAYS": "7", "LETHE_RESTORED": "true", "LETHE_SESSION_KEYS": "/lethe/lethe/session",
		"LETHE_OIDC_ISSUER": "https://login.example.com/", "LETHE_OIDC_CLIENT_ID": "lethe", "LETHE_OIDC_SECRET": "/lethe/lethe/oidc/client-secret",
	})
	got, err = cloud.ConfigFromEnv()
	want.KeyVersions, want.CancelWindow, want.Level, want.LedgerCopy = []int{2, 1}, 90*time.Minute, slog.LevelWarn, "other-bucket"
	want.BackupLife, want.Restored = 7*24*time.Hour, true
	want.SessionKeys, want.Issuer, want.Client, want.Secret = "/lethe/lethe/session", "https://login.example.com/", "lethe", "/lethe/lethe/oidc/client-secret"
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
}

func TestConfigTellsEveryProblemAtOnce(t *testing.T) {
	wrong := map[string]string{
		"AWS_REGION": "", "LETHE_CONTROL_TABLE": "", "LETHE_BUCKET": "Not A Bucket", "LETHE_EXPORT_MACHINE": "lethe-export",
		"LETHE_KEYS": "suppression/", "LETHE_KEY_VERSIONS": "1,1", "LETHE_CANCEL_WINDOW": "-1h", "LETHE_LOG": "loud", "LETHE_LEDGER_COPY": "X",
		"LETHE_BACKUP_DAYS": "a week", "LETHE_RESTORED": "yes",
		"LETHE_SESSION_KEYS": "session", "LETHE_OIDC_ISSUER": "https://login.example.com", "LETHE_OIDC_CLIENT_ID": "", "LETHE_OIDC_SECRET": "s3cret",
	}
	setEnvironment(t, wrong)
	_, err := cloud.ConfigFromEnv()
	if kind.Of(err) != kind.Invalid {
		t.Fatalf("got %v, want Invalid", err)
	}
	delete(wrong, "LETHE_OIDC_ISSUER") // right, and needs a client
	for name, value := range wrong {
		if !strings.Contains(err.Error(), name+" ") {
			t.Errorf("%s=%q is not among the problems: %v", name, value, err)
		}
	}
	for _, right := range []string{"LETHE_SUBJECTS_TABLE", "LETHE_DELETION_MACHINE"} {
		if strings.Contains(err.Error(), right) {
			t.Errorf("%s is right and among the problems: %v", right, err)
		}
	}
}
