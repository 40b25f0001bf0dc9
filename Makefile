# make test is the test command. make lists the others.

SHELL := bash
CACHE := .cache

.PHONY: help
help: ## list the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

.PHONY: run
run: ## a demo on 127.0.0.1:8080, data in ./lethe-data
	go run ./cmd/lethe serve --demo

.PHONY: test
test: lint peers ## everything: formatting, vet, staticcheck, all tests with the race detector
	@set -o pipefail; status=0; \
	go test -race -timeout 20m ./... 2>&1 | tee $(CACHE)/test.log || status=$$?; \
	echo; echo "slowest packages:"; \
	awk '$$1 == "ok" && $$3 ~ /s$$/ { print $$3 "\t" $$2 }' $(CACHE)/test.log | sort -rn | head -5; \
	sed 's/^/NOT TESTED: /' $(CACHE)/skipped; \
	if [ $$status != 0 ]; then echo; echo "failed:"; grep -E '^ *--- FAIL|^FAIL.*[a-z]' $(CACHE)/test.log; fi; \
	exit $$status

# The packages whose tests run over AWS, with the engines that play it; here none of
# those may be missing. make test has them too.
AWS_PEERS := .ci/fetch-dynamodb-local .ci/fetch-versitygw .ci/install-lint
AWS_PACKAGES := ./shared/cloud/... ./functions/... ./infra/... ./shared/events ./shared/asl ./statemachine

.PHONY: test-aws
test-aws: ## tests of the home on AWS, against DynamoDB Local, versitygw and moto
	@mkdir -p $(CACHE); set -e; for script in $(AWS_PEERS); do ./$$script; done
	CI=true go test -race -timeout 20m $(AWS_PACKAGES)

.PHONY: lint
lint: ## formatting, vet, staticcheck
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); \
	if [ -n "$$unformatted" ]; then echo "gofmt would change:"; echo "$$unformatted"; exit 1; fi
	go vet ./...
	go tool staticcheck ./...

# Each script installs, pinned and once, something that tests run against. Where
# one cannot, its tests are left out loudly; where CI=true that is a failure.
PEERS := $(wildcard .ci/fetch-* .ci/install-*)

.PHONY: peers
peers: ## install what the tests run against
	@mkdir -p $(CACHE); : > $(CACHE)/skipped; \
	for script in $(PEERS); do \
	  ./$$script && continue; \
	  if [ "$$CI" = true ]; then echo "$$script failed, and CI=true leaves nothing out"; exit 1; fi; \
	  echo "what needs $$script, which failed" | tee -a $(CACHE)/skipped; \
	done

.PHONY: bench
bench: ## Go benchmarks, and one million events through a real server
	go test -run '^$$' -bench . -benchmem ./...
	go run ./cmd/lethe/bench

.PHONY: bench-full
bench-full: ## ten million events through a real server; takes a quarter of an hour and 30 GB
	go run ./cmd/lethe/bench -events 10000000

.PHONY: fuzz
fuzz: ## every fuzz test for half a minute
	@set -e; for file in $$(grep -rl --include='*_test.go' '^func Fuzz' .); do \
	  for name in $$(sed -nE 's/^func (Fuzz[A-Za-z0-9_]*)\(.*/\1/p' "$$file"); do \
	    echo "$$file $$name"; \
	    go test -run '^$$' -fuzz "^$$name\$$" -fuzztime 30s "./$$(dirname "$$file")"; \
	  done; \
	done

.PHONY: clean
clean: ## remove what was fetched and built, not ./lethe-data
	rm -rf $(CACHE) lethe
