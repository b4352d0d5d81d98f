// Carries out a script of steps with franz-go and the CloudEvents SDK for Go.
// The job comes from standard input, and what was read goes to standard output: see ../python/client.py.
package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"strings"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/twmb/franz-go/pkg/kgo"
)

type step struct {
	Event       event.Event          `json:"event"`
	Mode        string               `json:"mode"`
	Spoilt      map[string][]*string `json:"spoilt"`
	RolledBack  bool                 `json:"rolled_back"`
	Compression string               `json:"compression"`
}

type job struct {
	Bootstrap   string `json:"bootstrap"`
	TopicPrefix string `json:"topic_prefix"`
	Name        string `json:"name"`
	Steps       []step `json:"steps"`
	Outcomes    int    `json:"outcomes"`
	Events      int    `json:"events"`
}

var codecs = map[string]kgo.CompressionCodec{
	"":       kgo.NoCompression(),
	"none":   kgo.NoCompression(),
	"gzip":   kgo.GzipCompression(),
	"snappy": kgo.SnappyCompression(),
	"lz4":    kgo.Lz4Compression(),
	"zstd":   kgo.ZstdCompression(),
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

// binary returns an event's headers as the Kafka protocol binding has them.
func binary(e event.Event) []kgo.RecordHeader {
	attributes := map[string]any{"specversion": e.SpecVersion(), "id": e.ID(), "source": e.Source(), "type": e.Type()}
	attributes["subject"] = e.Subject()
	attributes["time"] = e.Time().Format(time.RFC3339Nano)
	for name, value := range e.Extensions() {
		attributes[name] = value
	}
	headers := []kgo.RecordHeader{{Key: "content-type", Value: []byte(e.DataContentType())}}
	for name, value := range attributes {
		headers = append(headers, kgo.RecordHeader{Key: "ce_" + name, Value: fmt.Append(nil, value)})
	}
	return headers
}

func recordOf(s step, topic string) *kgo.Record {
	record := &kgo.Record{Topic: topic, Key: []byte(s.Event.Extensions()["partitionkey"].(string))}
	envelope, err := json.Marshal(s.Event)
	must(err)
	kind := map[string]string{
		"structured": event.ApplicationCloudEventsJSON,
		"batch":      event.ApplicationCloudEventsBatchJSON,
		"envelope":   event.ApplicationJSON,
	}[s.Mode]
	record.Value, record.Headers = envelope, []kgo.RecordHeader{{Key: "content-type", Value: []byte(kind)}}
	switch s.Mode {
	case "binary":
		record.Value, record.Headers = s.Event.Data(), binary(s.Event)
	case "batch":
		record.Value = fmt.Appendf(nil, "[%s]", envelope)
	}
	for name, values := range s.Spoilt {
		kept := record.Headers[:0]
		for _, header := range record.Headers {
			if header.Key != name {
				kept = append(kept, header)
			}
		}
		record.Headers = kept
		for _, value := range values {
			var raw []byte
			if value != nil {
				raw, err = hex.DecodeString(*value)
				must(err)
			}
			record.Headers = append(record.Headers, kgo.RecordHeader{Key: name, Value: raw})
		}
	}
	return record
}

func send(ctx context.Context, j job) {
	topic := j.TopicPrefix + "orders.commands"
	clients := map[string]*kgo.Client{}
	for _, s := range j.Steps {
		record := recordOf(s, topic)
		if s.RolledBack {
			client, err := kgo.NewClient(kgo.SeedBrokers(j.Bootstrap), kgo.TransactionalID(j.TopicPrefix+j.Name))
			must(err)
			must(client.BeginTransaction())
			must(client.ProduceSync(ctx, record).FirstErr())
			must(client.EndTransaction(ctx, kgo.TryAbort))
			client.Close()
			continue
		}
		if clients[s.Compression] == nil {
			client, err := kgo.NewClient(
				kgo.SeedBrokers(j.Bootstrap), kgo.ProducerBatchCompression(codecs[s.Compression]))
			must(err)
			defer client.Close()
			clients[s.Compression] = client
		}
		must(clients[s.Compression].ProduceSync(ctx, record).FirstErr())
	}
}

// eventOf reads a record in binary mode.
func eventOf(record *kgo.Record) event.Event {
	e := event.New()
	var kind string
	for _, header := range record.Headers {
		value := string(header.Value)
		switch header.Key {
		case "content-type":
			kind = value
		case "ce_specversion":
			e.SetSpecVersion(value)
		case "ce_id":
			e.SetID(value)
		case "ce_source":
			e.SetSource(value)
		case "ce_type":
			e.SetType(value)
		case "ce_subject":
			e.SetSubject(value)
		case "ce_time":
			at, err := time.Parse(time.RFC3339, value)
			must(err)
			e.SetTime(at)
		default:
			if name, found := strings.CutPrefix(header.Key, "ce_"); found {
				e.SetExtension(name, value)
			}
		}
	}
	must(e.SetData(kind, json.RawMessage(record.Value)))
	must(e.Validate())
	return e
}

// read returns the first so many events of the topic that answer what this client sent.
func read(ctx context.Context, j job, topic string, count int) []event.Event {
	client, err := kgo.NewClient(
		kgo.SeedBrokers(j.Bootstrap),
		kgo.ConsumeTopics(j.TopicPrefix+topic),
		kgo.ConsumerGroup(j.TopicPrefix+j.Name+"."+topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.DisableAutoCommit(),
	)
	must(err)
	defer client.Close()
	var found []event.Event
	for len(found) < count {
		fetches := client.PollFetches(ctx)
		must(fetches.Err())
		fetches.EachRecord(func(record *kgo.Record) {
			if e := eventOf(record); e.Extensions()["correlationid"] == j.Name {
				found = append(found, e)
			}
		})
	}
	return found[:count]
}

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var j job
	must(json.NewDecoder(os.Stdin).Decode(&j))
	send(ctx, j)
	must(json.NewEncoder(os.Stdout).Encode(map[string]any{
		"outcomes": read(ctx, j, "orders.outcomes", j.Outcomes),
		"events":   read(ctx, j, "orders.events", j.Events),
	}))
}
