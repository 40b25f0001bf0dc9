package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/term"
)

// A progress tells how far something is: on a terminal in one line that is written over
// again and again, and elsewhere, if plain says so, by a line every ten seconds.
type progress struct {
	out   io.Writer
	quiet bool // tell nothing
	plain bool // tell where no terminal is, too

	last  time.Time
	shown bool // a line of a terminal has to be cleared
}

// show tells how far it is, unless it was told a moment ago.
func (p *progress) show(format string, values ...any) {
	file, ok := p.out.(*os.File)
	terminal := ok && term.IsTerminal(int(file.Fd()))
	every := 10 * time.Second
	if terminal {
		every = time.Second / 5
	}
	if p.last.IsZero() {
		p.last = time.Now()
	}
	if p.quiet || !terminal && !p.plain || time.Since(p.last) < every {
		return
	}
	p.last = time.Now()
	line := fmt.Sprintf(format, values...)
	if terminal {
		p.shown = true
		fmt.Fprint(p.out, clearLine, line)
		return
	}
	fmt.Fprintln(p.out, line)
}

// clearLine has a terminal begin its line anew.
const clearLine = "\r\x1b[K"

// end clears the line.
func (p *progress) end() {
	if p.shown {
		fmt.Fprint(p.out, clearLine)
		p.shown = false
	}
}
