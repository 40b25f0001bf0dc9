package local

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"lethe/shared/kind"
)

// keySize is the bytes of one key.
const keySize = 32

// loadKeys reads the keys at path, oldest first. Without the file it makes one
// with a single new key, readable by its owner only, and returns when that is
// durable: nothing is ever written under a key that a crash could take back.
// A file that is not what it must be is kind.Corrupt and is left alone.
func loadKeys(path, title string) (kind.Keyring, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		secret := make([]byte, keySize)
		_, _ = rand.Read(secret) // never fails
		ring := kind.Keyring{{Version: 1, Secret: secret}}
		return ring, WriteSecret(path, formatKeys(ring, title))
	}
	if err != nil {
		return nil, kind.E(kind.Unavailable, "read a key file", err)
	}
	ring, err := parseKeys(b)
	if err != nil {
		return nil, kind.Say(kind.Corrupt, "The key file "+filepath.Base(path)+" is damaged: put it back from a backup.")
	}
	return ring, nil
}

// formatKeys gives one line "<version> <hex>" to a key, below a line for the
// person who opens the file.
func formatKeys(ring kind.Keyring, title string) []byte {
	var b bytes.Buffer
	b.WriteString("# " + title + "\n")
	for _, k := range ring {
		b.WriteString(strconv.Itoa(k.Version) + " " + hex.EncodeToString(k.Secret) + "\n")
	}
	return b.Bytes()
}

// parseKeys reads what formatKeys wrote. Versions must rise from line to line.
func parseKeys(b []byte) (kind.Keyring, error) {
	damaged := kind.E(kind.Corrupt, "read keys")
	var ring kind.Keyring
	for lines := bufio.NewScanner(bytes.NewReader(b)); lines.Scan(); {
		line := lines.Text()
		if strings.HasPrefix(line, "#") {
			continue
		}
		number, digits, _ := strings.Cut(line, " ")
		version, err := strconv.Atoi(number)
		if err != nil || version < 1 {
			return nil, damaged
		}
		if len(ring) > 0 && version <= ring[len(ring)-1].Version {
			return nil, damaged
		}
		secret, err := hex.DecodeString(digits)
		if err != nil || len(secret) != keySize {
			return nil, damaged
		}
		ring = append(ring, kind.Key{Version: version, Secret: secret})
	}
	if len(ring) == 0 || b[len(b)-1] != '\n' {
		return nil, damaged
	}
	return ring, nil
}

// WriteSecret stores data at path for the owner's eyes only, whole or not at all,
// and is durable when it returns nil.
func WriteSecret(path string, data []byte) error {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, "."+filepath.Base(path)+"-*") // 0600
	if err != nil {
		return unwritable(err)
	}
	defer os.Remove(f.Name()) // without effect after the rename
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if closing := f.Close(); err == nil {
		err = closing
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err == nil {
		err = syncFile(dir)
	}
	if err != nil {
		return unwritable(err)
	}
	return nil
}

// syncFile makes a file durable, or the names in a directory.
func syncFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}
