// SPDX-License-Identifier: Apache-2.0

// A client-go program as controllers are written: a shared informer on the ConfigMaps of one
// namespace, a typed client that sends protobuf, and an election. What it sees goes to stdout, a
// line each, for a test to read:
//
//	SYNCED | ADD name value | UPDATE name value | DELETE name | LEADING
//
// and a line on stdin is a command: "create NAME VALUE", "update NAME VALUE", "delete NAME".
package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

var printing sync.Mutex

func say(words ...string) {
	printing.Lock()
	defer printing.Unlock()
	fmt.Println(strings.Join(words, " "))
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: informer KUBECONFIG NAMESPACE")
		os.Exit(2)
	}
	config, err := clientcmd.BuildConfigFromFlags("", os.Args[1])
	must(err)
	namespace := os.Args[2]
	config.ContentType = "application/vnd.kubernetes.protobuf"
	config.AcceptContentTypes = "application/vnd.kubernetes.protobuf,application/json"
	client, err := kubernetes.NewForConfig(config)
	must(err)

	factory := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithNamespace(namespace))
	informer := factory.Core().V1().ConfigMaps().Informer()
	_, err = informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(object any) { seen("ADD", object) },
		UpdateFunc: func(_, object any) { seen("UPDATE", object) },
		DeleteFunc: func(object any) {
			if gone, ok := object.(cache.DeletedFinalStateUnknown); ok {
				object = gone.Obj
			}
			say("DELETE", object.(*corev1.ConfigMap).Name)
		},
	})
	must(err)
	factory.Start(context.Background().Done())
	if !cache.WaitForCacheSync(context.Background().Done(), informer.HasSynced) {
		os.Exit(1)
	}
	say("SYNCED")
	go lead(config, namespace)

	commands := bufio.NewScanner(os.Stdin)
	for commands.Scan() {
		obey(client, namespace, strings.Fields(commands.Text()))
	}
}

func seen(what string, object any) {
	configMap := object.(*corev1.ConfigMap)
	say(what, configMap.Name, configMap.Data["value"])
}

func obey(client kubernetes.Interface, namespace string, words []string) {
	maps := client.CoreV1().ConfigMaps(namespace)
	wanted := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: words[1]}}
	if len(words) > 2 {
		wanted.Data = map[string]string{"value": words[2]}
	}
	var err error
	switch words[0] {
	case "create":
		_, err = maps.Create(context.Background(), wanted, metav1.CreateOptions{})
	case "update":
		_, err = maps.Update(context.Background(), wanted, metav1.UpdateOptions{})
	case "delete":
		err = maps.Delete(context.Background(), words[1], metav1.DeleteOptions{})
	}
	must(err)
}

// lead takes the Lease "informer" as controllers take theirs.
func lead(config *rest.Config, namespace string) {
	lock, err := resourcelock.NewFromKubeconfig(resourcelock.LeasesResourceLock, namespace, "informer",
		resourcelock.ResourceLockConfig{Identity: "test"}, config, 5*time.Second)
	must(err)
	leaderelection.RunOrDie(context.Background(), leaderelection.LeaderElectionConfig{
		Lock: lock, LeaseDuration: 60 * time.Second, RenewDeadline: 40 * time.Second, RetryPeriod: time.Second,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(context.Context) { say("LEADING") },
			OnStoppedLeading: func() { os.Exit(1) },
		},
	})
}
