package asl

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// A scope is what expressions of a state are evaluated in.
type scope struct {
	data    any        // the state's effective input, or its result
	context func() any // the context object; called only where $$ is used
}

// An expression is what a field ending in .$ holds: a path or an intrinsic
// function.
type expression interface {
	eval(s scope) (any, error)
}

func (p *path) eval(s scope) (any, error) {
	v, err := p.in(s.data, s.context)
	if err != nil {
		return nil, missing{p.text}
	}
	return v, nil
}

// missing is the error of a path that found nothing. It names the path, which
// stands in the definition, and nothing of the data.
type missing struct{ path string }

func (m missing) Error() string { return "the JSONPath '" + m.path + "' finds nothing" }

// A literal is an argument written out in the definition.
type literal struct{ value any }

func (l literal) eval(scope) (any, error) { return l.value, nil }

// A call is an intrinsic function with its arguments.
type call struct {
	name string
	run  function
	args []expression
}

func (c *call) eval(s scope) (any, error) {
	args := make([]any, len(c.args))
	for i, a := range c.args {
		v, err := a.eval(s)
		if err != nil {
			return nil, err
		}
		args[i] = v
	}
	v, err := c.run(args)
	if err != nil {
		return nil, intrinsicError{c.name, err}
	}
	return v, nil
}

// intrinsicError tells which function failed and why, with nothing of the data.
type intrinsicError struct {
	name string
	err  error
}

func (e intrinsicError) Error() string { return e.name + ": " + e.err.Error() }

// parseExpression reads the text of a field ending in .$.
func parseExpression(text string) (expression, error) {
	if strings.HasPrefix(text, "$") {
		return parsePath(text)
	}
	p := &expressionReader{text: text}
	e, err := p.call(0)
	if err != nil {
		return nil, err
	}
	if p.skip(); p.at < len(p.text) {
		return nil, errors.New("there is more text behind the function")
	}
	return e, nil
}

// maxCalls is how deep functions may nest; it is Step Functions' limit.
const maxCalls = 10

type expressionReader struct {
	text string
	at   int
}

func (p *expressionReader) skip() {
	for p.at < len(p.text) && strings.IndexByte(" \t\r\n", p.text[p.at]) >= 0 {
		p.at++
	}
}

func (p *expressionReader) call(depth int) (expression, error) {
	if depth >= maxCalls {
		return nil, errors.New("functions nest deeper than 10")
	}
	p.skip()
	open := strings.IndexByte(p.text[p.at:], '(')
	if open < 0 {
		return nil, errors.New("a value that ends in .$ must be a path or a function States.…(…)")
	}
	name := strings.TrimSpace(p.text[p.at : p.at+open])
	f, ok := lookup(name)
	if !ok {
		return nil, fmt.Errorf("function %q is not run", name)
	}
	p.at += open + 1
	c := &call{name: name, run: f.run}
	for {
		p.skip()
		if p.at < len(p.text) && p.text[p.at] == ')' && len(c.args) == 0 {
			break
		}
		arg, err := p.argument(depth, name == "States.Format" && len(c.args) == 0)
		if err != nil {
			return nil, err
		}
		c.args = append(c.args, arg)
		if p.skip(); p.at >= len(p.text) {
			return nil, errors.New("a function's closing ) is missing")
		}
		if p.text[p.at] == ')' {
			break
		}
		if p.text[p.at] != ',' {
			return nil, errors.New("a comma is missing between arguments")
		}
		p.at++
	}
	p.at++
	if len(c.args) < f.least || f.most >= 0 && len(c.args) > f.most {
		return nil, fmt.Errorf("%s has a wrong number of arguments", name)
	}
	return c, nil
}

func (p *expressionReader) argument(depth int, format bool) (expression, error) {
	if p.at >= len(p.text) {
		return nil, errors.New("an argument is missing")
	}
	switch c := p.text[p.at]; {
	case c == '\'':
		return p.quoted(format)
	case c == '$':
		return p.path()
	case c == '-' || '0' <= c && c <= '9':
		return p.number()
	}
	for word, v := range map[string]any{"true": true, "false": false, "null": nil} {
		if strings.HasPrefix(p.text[p.at:], word) {
			p.at += len(word)
			return literal{v}, nil
		}
	}
	return p.call(depth + 1)
}

// quoted reads a string in single quotes. A backslash leads a quote, a brace or
// a backslash. In the pattern of States.Format the escapes of braces stay, for
// the function to read.
func (p *expressionReader) quoted(format bool) (expression, error) {
	var b strings.Builder
	for p.at++; p.at < len(p.text); p.at++ {
		c := p.text[p.at]
		switch {
		case c == '\'':
			p.at++
			return literal{b.String()}, nil
		case c == '\\':
			p.at++
			if p.at >= len(p.text) || strings.IndexByte(`'{}\`, p.text[p.at]) < 0 {
				return nil, errors.New(`a backslash may lead only ' { } and \ in a string`)
			}
			if format && p.text[p.at] != '\'' {
				b.WriteByte('\\')
			}
			b.WriteByte(p.text[p.at])
		default:
			b.WriteByte(c)
		}
	}
	return nil, errors.New("a string's closing ' is missing")
}

// path reads a path up to the comma or bracket that ends the argument.
func (p *expressionReader) path() (expression, error) {
	start, brackets := p.at, 0
	var quote byte
scan:
	for ; p.at < len(p.text); p.at++ {
		c := p.text[p.at]
		switch {
		case quote != 0:
			if c == '\\' {
				p.at++
			} else if c == quote {
				quote = 0
			}
		case brackets > 0 && (c == '\'' || c == '"'):
			quote = c
		case c == '[' || c == '(':
			brackets++
		case brackets > 0 && (c == ']' || c == ')'):
			brackets--
		case brackets == 0 && (c == ',' || c == ')'):
			break scan
		}
	}
	end := min(p.at, len(p.text))
	return parsePath(strings.TrimRight(p.text[start:end], " \t\r\n"))
}

const numberPattern = `^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?`

func (p *expressionReader) number() (expression, error) {
	n := regexp.MustCompile(numberPattern).FindString(p.text[p.at:])
	if n == "" {
		return nil, errors.New("an argument is no number")
	}
	p.at += len(n)
	return literal{json.Number(n)}, nil
}
