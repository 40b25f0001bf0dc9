// Package lethe_test holds what concerns the module as a whole.
package lethe_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// arrows tells for every package which others of the module it may import. A
// pattern that ends in /... is for all packages below, and the first that fits a
// package counts. Tests are free.
var arrows = []struct {
	of      string
	imports string
}{
	{"shared/kind", ""},
	{"shared/table/...", "shared/table shared/kind"},
	{"shared/table", "shared/kind"},
	{"shared/blob/...", "shared/blob shared/kind"},
	{"shared/blob", "shared/kind"},
	{"shared/archive", "shared/blob shared/kind"},
	{"shared/dsr/dsrtest", "shared/dsr shared/kind"},
	{"shared/dsr", "shared/archive shared/table shared/blob shared/kind"},
	{"shared/events", "shared/dsr shared/archive shared/table shared/blob shared/kind"},
	{"shared/account", "shared/dsr shared/archive shared/table shared/blob shared/kind"},
	{"shared/api", "shared/events shared/account shared/dsr shared/archive shared/table shared/blob shared/kind"},
	{"shared/console", "shared/events shared/account shared/dsr shared/archive shared/table shared/blob shared/kind"},
	{"shared/asl", "shared/table shared/kind"},
	{"shared/mail", "shared/dsr shared/kind"},
	{"shared/cloud/cloudtest", ""},
	{"shared/cloud/ses", "shared/cloud shared/mail shared/dsr shared/kind"},
	{"shared/cloud", "shared/dsr shared/table shared/blob shared/kind"},
	{"shared/local", "shared/asl shared/mail shared/dsr shared/table shared/blob shared/kind statemachine"},
	{"client", ""},
	{"shared/peertest", ""},
	{"statemachine", ""},
	{"functions/...", "shared/cloud shared/cloud/ses shared/api shared/console shared/events shared/account shared/dsr"},
	{"infra/...", "shared/cloud shared/console shared/account shared/events shared/dsr shared/kind"},
	{"cmd/...", "shared/... cmd/... client statemachine"},
}

// outsiders tells which packages may import a module that is not Lethe's: the
// domain knows no driver.
var outsiders = []struct {
	prefix string
	within string
}{
	{"github.com/aws/", "shared/cloud shared/cloud/... infra/..."},
	{"github.com/ncruces/", "shared/local"},
	{"github.com/ohler55/", "shared/asl"},
	{"github.com/spf13/", "cmd/..."},
	{"golang.org/x/term", "cmd/..."},
	{"net/http", "client shared/blob/... shared/api shared/console shared/local shared/cloud shared/cloud/... cmd/..."},
}

func TestArrowsPointDown(t *testing.T) {
	for _, p := range packages(t) {
		imports, listed := "", false
		for _, a := range arrows {
			if fits(a.of, p.path) {
				imports, listed = a.imports, true
				break
			}
		}
		if !listed {
			t.Errorf("%s has no place in the layout", p.path)
			continue
		}
		for _, i := range p.inside {
			if !fits(imports, i) {
				t.Errorf("%s imports %s, which does not lie below it", p.path, i)
			}
			if strings.HasSuffix(i, "test") {
				t.Errorf("%s imports %s, which is for tests", p.path, i)
			}
		}
	}
}

func TestDriversKeepTheirModules(t *testing.T) {
	for _, p := range packages(t) {
		for _, i := range p.outside {
			for _, o := range outsiders {
				if strings.HasPrefix(i, o.prefix) && !fits(o.within, p.path) {
					t.Errorf("%s imports %s, which is for %s", p.path, i, o.within)
				}
			}
		}
	}
}

// Deadlines are counted in time zones, which a machine or Lambda may not have.
func TestTimeZonesAreInTheBinaries(t *testing.T) {
	for _, p := range packages(t) {
		counts := p.path == "cmd/lethe" || p.path == "functions/api"
		if counts != slices.Contains(p.outside, "time/tzdata") {
			t.Errorf("%s imports time/tzdata: %v, want %v", p.path, !counts, counts)
		}
	}
}

// fits reports whether path is one of patterns, which spaces separate.
func fits(patterns, path string) bool {
	for _, p := range strings.Fields(patterns) {
		if below, ok := strings.CutSuffix(p, "..."); path == p || ok && strings.HasPrefix(path, below) {
			return true
		}
	}
	return false
}

type pkg struct {
	path    string   // within the module
	inside  []string // imports of this module, within it
	outside []string
}

// packages reads the imports of the module's packages, without their tests. It
// opens the files itself, so that the cache of go test sees what it depends on.
func packages(t *testing.T) []*pkg {
	t.Helper()
	const module = "lethe/"
	found := map[string]*pkg{}
	err := filepath.WalkDir(".", func(file string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && file != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || d.Name() == "node_modules"):
			return fs.SkipDir
		case d.IsDir() || !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go"):
			return nil
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		path := filepath.ToSlash(filepath.Dir(file))
		if found[path] == nil {
			found[path] = &pkg{path: path}
		}
		p := found[path]
		for _, spec := range parsed.Imports {
			name, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			if within, ok := strings.CutPrefix(name, module); ok {
				p.inside = append(p.inside, within)
			} else {
				p.outside = append(p.outside, name)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(found) < 10 {
		t.Fatalf("found only %d packages", len(found))
	}
	return slices.SortedFunc(maps.Values(found), func(a, b *pkg) int { return strings.Compare(a.path, b.path) })
}
