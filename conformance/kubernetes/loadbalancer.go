package main

import (
	"context"
	"fmt"
	"net/netip"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
)

// newLoadBalancer is what a cloud would do: each Service of type LoadBalancer gets an address of a range.
// kube-proxy then serves that address on the node.
func newLoadBalancer() *cobra.Command {
	var kubeconfig, addresses string
	command := &cobra.Command{
		Use:           "load-balancer",
		Short:         "Write an address into the status of each Service of type LoadBalancer",
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(*cobra.Command, []string) error {
			prefix, err := netip.ParsePrefix(addresses)
			if err != nil {
				return fmt.Errorf("--addresses: %w", err)
			}
			config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
			if err != nil {
				return err
			}
			config.QPS, config.Burst = 200, 400
			client, err := kubernetes.NewForConfig(config)
			if err != nil {
				return err
			}
			ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			return assign(ctx, client, prefix.Masked())
		},
	}
	command.Flags().StringVar(&kubeconfig, "kubeconfig", "", "how to reach the API server")
	command.Flags().StringVar(&addresses, "addresses", "", "the range to take addresses from, as 10.1.2.0/24")
	return command
}

// assign looks at all Services after every change, one pass at a time, so no address is given twice.
func assign(ctx context.Context, client kubernetes.Interface, prefix netip.Prefix) error {
	factory := informers.NewSharedInformerFactory(client, 0)
	services := factory.Core().V1().Services()
	changed := make(chan struct{}, 1)
	notify := func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	}
	_, err := services.Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { notify() },
		UpdateFunc: func(any, any) { notify() },
		DeleteFunc: func(any) { notify() },
	})
	if err != nil {
		return err
	}
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	// Addresses just written are remembered: the watch may not have shown them yet.
	written := map[serviceKey]string{}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		}
		all, err := services.Lister().List(labels.Everything())
		if err != nil {
			return err
		}
		if !pass(ctx, client, prefix, all, written) {
			time.AfterFunc(time.Second, notify)
		}
	}
}

// serviceKey names one Service for as long as it lives: another of the same name has another UID.
type serviceKey struct{ namespace, name, uid string }

// pass gives every Service that lacks one an address; false when something has to be tried again.
func pass(ctx context.Context, client kubernetes.Interface, prefix netip.Prefix, all []*corev1.Service, written map[serviceKey]string) bool {
	taken, alive := map[string]serviceKey{}, map[serviceKey]bool{}
	var waiting []*corev1.Service
	for _, service := range all {
		if service.Spec.Type != corev1.ServiceTypeLoadBalancer || service.Spec.LoadBalancerClass != nil {
			continue
		}
		key := serviceKey{service.Namespace, service.Name, string(service.UID)}
		alive[key] = true
		address := written[key]
		if ingress := service.Status.LoadBalancer.Ingress; len(ingress) > 0 {
			address = ingress[0].IP
		}
		if wanted := service.Spec.LoadBalancerIP; address != "" && (wanted == "" || wanted == address) {
			taken[address] = key
			continue
		}
		waiting = append(waiting, service)
	}
	for key := range written {
		if !alive[key] {
			delete(written, key)
		}
	}
	done := true
	for _, service := range waiting {
		key := serviceKey{service.Namespace, service.Name, string(service.UID)}
		address := choose(prefix, service.Spec.LoadBalancerIP, taken)
		if address == "" {
			klog.Warningf("no address of %s for Service %s/%s (it asks for %q)", prefix, service.Namespace,
				service.Name, service.Spec.LoadBalancerIP)
			continue
		}
		service = service.DeepCopy()
		service.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: address}}
		_, err := client.CoreV1().Services(service.Namespace).UpdateStatus(ctx, service, metav1.UpdateOptions{})
		if err != nil {
			klog.Warningf("Service %s/%s: %v", service.Namespace, service.Name, err)
			done = false
			continue
		}
		klog.Infof("Service %s/%s has address %s", service.Namespace, service.Name, address)
		taken[address], written[key] = key, address
	}
	return done
}

// choose gives the address asked for if it is of our range and free, else the lowest free one; "" for none.
// The first 16 of the range are given only to those who ask for them.
func choose(prefix netip.Prefix, wanted string, taken map[string]serviceKey) string {
	if wanted != "" {
		address, err := netip.ParseAddr(wanted)
		if _, used := taken[wanted]; err != nil || used || !prefix.Contains(address) {
			return ""
		}
		return wanted
	}
	address := prefix.Addr()
	for range 16 {
		address = address.Next()
	}
	for ; prefix.Contains(address); address = address.Next() {
		if _, used := taken[address.String()]; !used {
			return address.String()
		}
	}
	return ""
}
