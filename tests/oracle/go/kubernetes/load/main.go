// SPDX-License-Identifier: Apache-2.0

// The load of bench/api.py: the same for our API server and for kube-apiserver. HTTP/1.1 over TLS,
// one request at a time on each connection. Prints one JSON object.
//
//	load -kubeconfig FILE -path /api/v1/nodes -body node.json -count 5000 -connections 64
//	load ... -count 500 -rate 50 -watch     how late a watcher hears of a creation
package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

type job struct {
	base, host, path, prefix string
	config                   *rest.Config
	count, connections       int
	rate                     float64
	head                     string   // of each request, up to the value of Content-Length
	pieces                   []string // of the body; "NAME" and "SENT" are to be filled in
	fixed, names, sents      int      // bytes of the other pieces; how many of these
}

var places = regexp.MustCompile("NAME|SENT")

func (j *job) prepare(body string) {
	end := 0
	for _, at := range places.FindAllStringIndex(body, -1) {
		j.pieces = append(j.pieces, body[end:at[0]], body[at[0]:at[1]])
		end = at[1]
	}
	j.pieces = append(j.pieces, body[end:])
	j.names, j.sents = strings.Count(body, "NAME"), strings.Count(body, "SENT")
	j.fixed = len(body) - len("NAME")*(j.names+j.sents)
	authorization := ""
	if j.config.BearerToken != "" {
		authorization = "Authorization: Bearer " + j.config.BearerToken + "\r\n"
	}
	j.head = "POST " + j.path + " HTTP/1.1\r\nHost: " + j.host + "\r\n" + authorization +
		"Accept: application/json\r\nContent-Type: application/json\r\nContent-Length: "
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}

func (j *job) client(connections int) *http.Client {
	settings, err := rest.TLSConfigFor(j.config)
	must(err)
	transport := &http.Transport{
		TLSClientConfig: settings, MaxConnsPerHost: connections, MaxIdleConnsPerHost: connections,
		// HTTP/1.1 for both: ours has nothing else, and kube-apiserver would put all on one connection.
		TLSNextProto: map[string]func(string, *tls.Conn) http.RoundTripper{},
	}
	return &http.Client{Transport: transport}
}

func (j *job) get(url string) *http.Request {
	request, err := http.NewRequest("GET", url, nil)
	must(err)
	request.Header.Set("Accept", "application/json")
	if j.config.BearerToken != "" {
		request.Header.Set("Authorization", "Bearer "+j.config.BearerToken)
	}
	return request
}

// A connection of the load. Written by hand around crypto/tls and net/http's parser, because the
// machine's processors are shared with the server: what net/http's client costs, the server lacks.
type connection struct {
	stream *tls.Conn
	reader *bufio.Reader
	out    []byte
	answer bytes.Buffer
}

func (j *job) dial() (*connection, error) {
	settings, err := rest.TLSConfigFor(j.config)
	if err != nil {
		return nil, err
	}
	settings.NextProtos = []string{"http/1.1"}
	stream, err := tls.Dial("tcp", j.host, settings)
	if err != nil {
		return nil, err
	}
	return &connection{stream: stream, reader: bufio.NewReaderSize(stream, 16*1024)}, nil
}

var post = &http.Request{Method: "POST"}

func (j *job) create(c *connection, number int) error {
	name := fmt.Sprintf("%s-%06d", j.prefix, number)
	sent := strconv.FormatInt(time.Now().UnixNano(), 10)
	size := j.fixed + j.names*len(name) + j.sents*len(sent)
	c.out = append(append(c.out[:0], j.head...), strconv.Itoa(size)...)
	c.out = append(c.out, "\r\n\r\n"...)
	for _, piece := range j.pieces {
		switch piece {
		case "NAME":
			c.out = append(c.out, name...)
		case "SENT":
			c.out = append(c.out, sent...)
		default:
			c.out = append(c.out, piece...)
		}
	}
	if _, err := c.stream.Write(c.out); err != nil {
		return err
	}
	response, err := http.ReadResponse(c.reader, post)
	if err != nil {
		return err
	}
	c.answer.Reset()
	_, err = c.answer.ReadFrom(response.Body)
	response.Body.Close()
	if err == nil && response.StatusCode != http.StatusCreated {
		err = fmt.Errorf("%s: %s", response.Status, c.answer.String())
	}
	return err
}

// creations: all of them, as fast as the answers come (or at the rate). Latencies in seconds.
func (j *job) creations() (seconds float64, latencies []float64) {
	connections := make([]*connection, j.connections)
	for i := range connections {
		var err error
		connections[i], err = j.dial()
		must(err)
		defer connections[i].stream.Close()
	}
	latencies = make([]float64, j.count)
	var next atomic.Int64
	var group sync.WaitGroup
	started := time.Now()
	for _, connection := range connections {
		group.Add(1)
		go func() {
			defer group.Done()
			for {
				number := int(next.Add(1)) - 1
				if number >= j.count {
					return
				}
				if j.rate > 0 {
					time.Sleep(time.Until(started.Add(time.Duration(float64(number) / j.rate * 1e9))))
				}
				sent := time.Now()
				must(j.create(connection, number))
				latencies[number] = time.Since(sent).Seconds()
			}
		}()
	}
	group.Wait()
	return time.Since(started).Seconds(), latencies
}

// watch counts from the moment before a creation is sent until its event has been read.
func (j *job) watch(done chan<- []float64) {
	// From the newest version: only what is created from now on.
	client := j.client(2)
	list, err := client.Do(j.get(j.base + j.path + "?limit=1"))
	must(err)
	var head struct {
		Metadata struct{ ResourceVersion string }
	}
	must(json.NewDecoder(list.Body).Decode(&head))
	list.Body.Close()
	response, err := client.Do(j.get(j.base + j.path + "?watch=true&resourceVersion=" +
		head.Metadata.ResourceVersion))
	must(err)
	if response.StatusCode != http.StatusOK {
		must(errors.New(response.Status))
	}
	go func() {
		var delays []float64
		events := json.NewDecoder(response.Body)
		for len(delays) < j.count {
			var event struct {
				Type   string
				Object struct {
					Metadata struct {
						Name        string
						Annotations map[string]string
					}
				}
			}
			must(events.Decode(&event))
			now := time.Now().UnixNano()
			var sent int64
			if event.Type != "ADDED" || !strings.HasPrefix(event.Object.Metadata.Name, j.prefix) {
				continue
			}
			_, err := fmt.Sscan(event.Object.Metadata.Annotations["sent"], &sent)
			must(err)
			delays = append(delays, float64(now-sent)/1e9)
		}
		done <- delays
	}()
}

func quantile(values []float64, q float64) float64 {
	sort.Float64s(values)
	return values[min(len(values)-1, int(q*float64(len(values))))]
}

func main() {
	kubeconfig := flag.String("kubeconfig", "", "how to reach the server")
	body := flag.String("body", "", "file: the object, with NAME and SENT to be filled in")
	path := flag.String("path", "", "of the collection")
	prefix := flag.String("prefix", "load", "of the objects' names")
	count := flag.Int("count", 5000, "objects")
	connections := flag.Int("connections", 64, "")
	rate := flag.Float64("rate", 0, "creations a second; 0: as fast as they are answered")
	watched := flag.Bool("watch", false, "measure how late a watcher hears of them")
	flag.Parse()

	config, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
	must(err)
	text, err := os.ReadFile(*body)
	must(err)
	j := &job{base: config.Host, host: strings.TrimPrefix(config.Host, "https://"), path: *path,
		prefix: *prefix, config: config, count: *count, connections: *connections, rate: *rate}
	j.prepare(string(bytes.TrimSpace(text)))
	delays := make(chan []float64, 1)
	if *watched {
		j.watch(delays)
	}
	seconds, latencies := j.creations()
	var usage syscall.Rusage
	must(syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	result := map[string]float64{
		"seconds": seconds, "perSecond": float64(*count) / seconds,
		"p50": quantile(latencies, 0.5), "p99": quantile(latencies, 0.99),
		"clientCpu": float64(usage.Utime.Nano()+usage.Stime.Nano()) / 1e9,
	}
	if *watched {
		heard := <-delays
		result["watchP50"], result["watchP99"] = quantile(heard, 0.5), quantile(heard, 0.99)
	}
	must(json.NewEncoder(os.Stdout).Encode(result))
}
