package main

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"lethe/client"
)

func optOutCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "opt-out",
		Short: "Keep out everything of people that is to come",
		Example: `  lethe opt-out add ada
  lethe opt-out list`,
		Args: cobra.NoArgs,
		RunE: help,
	}
	c.AddCommand(
		changeOptOutsCommand("add", "Opt people out: nothing of theirs is stored from now on", (*client.Client).OptOut),
		changeOptOutsCommand("remove", "Take opt-outs back", (*client.Client).OptIn),
		testOptOutsCommand(), listOptOutsCommand())
	return c
}

func changeOptOutsCommand(name, short string, change func(*client.Client, context.Context, []string) (client.OptOutChange, error)) *cobra.Command {
	var n connection
	var p people
	c := &cobra.Command{
		Use:   name + " ID…",
		Short: short,
		Example: `  lethe opt-out ` + name + ` ada
  lethe opt-out ` + name + ` --csv people.csv`,
	}
	n.register(c)
	p.register(c)
	c.RunE = n.run(p.optOut(func(ctx context.Context, c *cobra.Command, to *client.Client, ids []string) error {
		var sum client.OptOutChange
		for len(ids) > 0 {
			part := ids[:min(client.Most, len(ids))]
			ids = ids[len(part):]
			done, err := change(to, ctx, part)
			if err != nil {
				return err
			}
			sum.Count, sum.Changed, sum.UnderWay = sum.Count+done.Count, sum.Changed+done.Changed, max(sum.UnderWay, done.UnderWay)
		}
		if n.json {
			return printLine(c.OutOrStdout(), sum)
		}
		text := fmt.Sprintf("%s named; %s changed, aliases and devices included.", count(sum.Count, "person"), count(sum.Changed, "identifier"))
		if sum.UnderWay > 0 {
			text += fmt.Sprintf(" What was under way may still be stored for %s.", count(sum.UnderWay, "second"))
		}
		_, err := fmt.Fprintln(c.OutOrStdout(), text)
		return err
	}))
	return c
}

// optOut is a command about the opt-outs of people, who are its arguments or in a file.
func (p *people) optOut(do connected) connected {
	return func(ctx context.Context, c *cobra.Command, to *client.Client, args []string) error {
		if err := ownOnly(to, "opt-out"); err != nil {
			return err
		}
		ids, err := p.read(c, args)
		if err != nil {
			return err
		}
		return do(ctx, c, to, ids)
	}
}

func testOptOutsCommand() *cobra.Command {
	var n connection
	var p people
	c := &cobra.Command{
		Use:     "test ID…",
		Short:   "Tell of identifiers, by their position, whether they are opted out",
		Example: `  lethe opt-out test ada grace`,
	}
	n.register(c)
	p.register(c)
	c.RunE = n.run(p.optOut(func(ctx context.Context, c *cobra.Command, to *client.Client, ids []string) error {
		for start := 0; start < len(ids); start += client.Most {
			out, err := to.TestOptOuts(ctx, ids[start:min(start+client.Most, len(ids))])
			if err != nil {
				return err
			}
			for i, is := range out {
				if err := n.tellTest(c, start+i+1, is); err != nil {
					return err
				}
			}
		}
		return nil
	}))
	return c
}

func (n *connection) tellTest(c *cobra.Command, position int, is bool) error {
	if n.json {
		return printLine(c.OutOrStdout(), struct {
			Position int  `json:"position"`
			OptedOut bool `json:"opted_out"`
		}{position, is})
	}
	word := "not opted out"
	if is {
		word = "opted out"
	}
	_, err := fmt.Fprintf(c.OutOrStdout(), "%d  %s\n", position, word)
	return err
}

func listOptOutsCommand() *cobra.Command {
	var n connection
	c := &cobra.Command{
		Use:     "list",
		Short:   "List who is opted out, newest first, by marks that lead to nobody without the key",
		Example: `  lethe opt-out list`,
		Args:    cobra.NoArgs,
	}
	n.register(c)
	c.RunE = n.run(func(ctx context.Context, c *cobra.Command, to *client.Client, _ []string) error {
		if err := ownOnly(to, "opt-out"); err != nil {
			return err
		}
		w := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
		if !n.json {
			fmt.Fprintln(w, "ADDED (UTC)\tORIGIN\tADDED BY\tMARK")
		}
		for page, told := 1, 0; ; page++ {
			found, total, err := to.OptOuts(ctx, page, 1000)
			if err != nil {
				return err
			}
			if total == 0 && !n.json {
				_, err = fmt.Fprintln(c.OutOrStdout(), "Nobody is opted out.")
				return err
			}
			for _, o := range found {
				if n.json {
					err = printLine(c.OutOrStdout(), o)
				} else {
					_, err = fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", clockTime(o.Added), strings.TrimSpace(o.Origin+" "+o.Task), o.AddedBy, o.Mark)
				}
				if err != nil {
					return err
				}
			}
			if told += len(found); told >= total || len(found) == 0 {
				return w.Flush()
			}
		}
	})
	return c
}
