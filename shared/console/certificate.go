package console

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"time"

	"maragu.dev/gomponents"
	"maragu.dev/gomponents/html"

	"lethe/shared/account"
	"lethe/shared/dsr"
	"lethe/shared/kind"
)

// readCertificate reads the certificate of the request that the address names.
func (v *visit) readCertificate() (account.Project, string, []byte, error) {
	project, task, err := v.named()
	if err != nil {
		return project, "", nil, err
	}
	file, err := v.Service.Certificate(v.r.Context(), project.ID, task)
	if err != nil {
		return project, "", nil, err
	}
	defer file.Close()
	whole, err := io.ReadAll(file)
	return project, task, whole, kind.Wrap("read the certificate", err)
}

// certificate answers a certificate as the file it is.
func certificate(v *visit) error {
	_, task, whole, err := v.readCertificate()
	if err != nil {
		return err
	}
	h := v.w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Disposition", `attachment; filename="`+task+`.json"`)
	h.Set("Content-Length", strconv.Itoa(len(whole)))
	_, _ = v.w.Write(whole) // the other side is gone; there is nobody to tell
	return nil
}

// showCertificate shows what a certificate says, as docs/format.md has it.
func showCertificate(v *visit) error {
	project, task, whole, err := v.readCertificate()
	if err != nil {
		return err
	}
	var c struct {
		Task       string         `json:"task"`
		Effect     string         `json:"effect"`
		Disclosure dsr.Disclosure `json:"disclosure"`
		Requested  time.Time      `json:"requested"`
		Cutoff     time.Time      `json:"cutoff"`
		Completed  time.Time      `json:"completed"`
		Blocked    bool           `json:"blocked"`
		Sources    []struct {
			Name   string    `json:"name"`
			Before dsr.Tally `json:"before"`
			After  dsr.Tally `json:"after"`
		} `json:"sources"`
		BackupsUntil time.Time `json:"backups_until"`
		Withdrawn    []string  `json:"withdrawn_archives"`
		SHA256       string    `json:"sha256"`
	}
	if err := json.NewDecoder(bytes.NewReader(whole)).Decode(&c); err != nil {
		return kind.E(kind.Corrupt, "read the certificate")
	}
	said := facts{
		{"Task id", html.Code(text(c.Task))},
		{"Project", text(project.Name + " (" + project.ID + ")")},
		{"Disclosure type", text(disclosureNames[c.Disclosure])},
		{"Requested", when(c.Requested)}, {"Erased is what was received or happened until", when(c.Cutoff)}, {"Completed", when(c.Completed)},
		{"Opted out of everything to come", text(yesNo(c.Blocked))},
		{"Exports taken back", text(strconv.Itoa(len(c.Withdrawn)))},
		{"SHA-256", html.Code(text(c.SHA256))},
	}
	if !c.BackupsUntil.IsZero() {
		said = append(said, fact{"The last backup that can hold the data goes", when(c.BackupsUntil)})
	}
	to := requestsPath + "/" + task
	return v.show(http.StatusOK, "Certificate of a deletion",
		say(c.Effect), said.list(),
		html.H2(html.ID("sources"), text("By source")),
		scrolled("sources", gomponents.Group{column("Source"), column("Before"), column("After")},
			gomponents.Map(c.Sources, func(s struct {
				Name   string    `json:"name"`
				Before dsr.Tally `json:"before"`
				After  dsr.Tally `json:"after"`
			}) node {
				return html.Tr(html.Td(text(s.Name)), html.Td(text(tally(s.Before))), html.Td(text(tally(s.After))))
			})),
		say("The certificate names nobody: the file has a mark for each identifier, which only who has the key of this deployment can compare."),
		html.P(leads(to+"/certificate.json", "Download the certificate")),
		html.P(link(to, "Back to the request")))
}
