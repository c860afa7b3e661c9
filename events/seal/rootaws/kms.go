package rootaws

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/rescindhq/rescind/events/seal"
)

// Config is how to reach KMS.
type Config struct {
	// Region is where the keys are: eu-central-1. Required.
	Region string

	// Options change how the SDK finds credentials and sends requests. Default:
	// its environment, files and the role of the machine.
	Options []func(*config.LoadOptions) error

	// Patience is how long a key that KMS does not know is asked for again.
	// Default 5 s.
	Patience time.Duration
}

// KMS is a root whose keys are in AWS KMS.
type KMS struct {
	client   *kms.Client
	region   string
	patience time.Duration
}

var _ seal.Root = (*KMS)(nil)

const (
	window = 7 // days before KMS deletes a key: the fewest that it takes
	wait   = 20 * time.Second
)

var epochContext = map[string]string{"rescind": "epoch"}

// New is the root at cfg. It asks KMS nothing yet.
func New(ctx context.Context, cfg Config) (*KMS, error) {
	if cfg.Region == "" {
		return nil, errors.New("aws kms: the region is missing")
	}
	loaded, err := config.LoadDefaultConfig(ctx, append([]func(*config.LoadOptions) error{config.WithRegion(cfg.Region)}, cfg.Options...)...)
	if err != nil {
		return nil, fmt.Errorf("aws kms: %w", err)
	}
	if cfg.Patience == 0 {
		cfg.Patience = 5 * time.Second
	}
	return &KMS{client: kms.NewFromConfig(loaded), region: cfg.Region, patience: cfg.Patience}, nil
}

// Wrap implements seal.Root.
func (k *KMS) Wrap(ctx context.Context, secret []byte) (seal.Wrapped, error) {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	made, err := k.client.CreateKey(ctx, &kms.CreateKeyInput{
		Description: aws.String("key of one epoch of Rescind's keyring"),
		Tags:        []types.Tag{{TagKey: aws.String("rescind"), TagValue: aws.String("keyring")}},
	})
	if err != nil {
		return seal.Wrapped{}, fmt.Errorf("aws kms: make a key: %w", err)
	}
	key := aws.ToString(made.KeyMetadata.Arn)
	var sealed *kms.EncryptOutput
	err = k.patiently(ctx, func() (err error) {
		sealed, err = k.client.Encrypt(ctx, &kms.EncryptInput{KeyId: &key, Plaintext: secret, EncryptionContext: epochContext})
		return err
	})
	if err != nil {
		_, left := k.Destroy(context.WithoutCancel(ctx), key) // it costs something, and would do so for ever
		return seal.Wrapped{}, fmt.Errorf("aws kms: wrap under %s: %w", key, errors.Join(err, left))
	}
	return seal.Wrapped{Key: key, Secret: sealed.CiphertextBlob}, nil
}

// Unwrap implements seal.Root.
func (k *KMS) Unwrap(ctx context.Context, w seal.Wrapped) ([]byte, error) {
	if err := k.ours(w.Key); err != nil {
		return nil, err
	}
	if len(w.Secret) == 0 { // which the SDK does not send
		return nil, fmt.Errorf("aws kms: key %s: nothing to unwrap: %w", w.Key, seal.ErrSealed)
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	var opened *kms.DecryptOutput
	err := k.patiently(ctx, func() (err error) {
		opened, err = k.client.Decrypt(ctx, &kms.DecryptInput{KeyId: &w.Key, CiphertextBlob: w.Secret, EncryptionContext: epochContext})
		return err
	})
	switch {
	case err == nil:
		return opened.Plaintext, nil
	case is[*types.InvalidCiphertextException](err), is[*types.IncorrectKeyException](err):
		return nil, fmt.Errorf("aws kms: key %s: %w", w.Key, seal.ErrSealed)
	case is[*types.NotFoundException](err):
		return nil, fmt.Errorf("aws kms: key %s: %w", w.Key, seal.ErrRootKey)
	case is[*types.KMSInvalidStateException](err):
		return nil, k.unusable(ctx, w.Key, err)
	}
	return nil, fmt.Errorf("aws kms: unwrap: %w", err)
}

// unusable says why KMS does not use a key: err, unless it is being deleted.
func (k *KMS) unusable(ctx context.Context, key string, err error) error {
	_, deleted, asked := k.deletion(ctx, key)
	if deleted {
		return fmt.Errorf("aws kms: key %s is deleted: %w", key, seal.ErrRootKey)
	}
	return fmt.Errorf("aws kms: key %s: %w", key, errors.Join(err, asked))
}

// Destroy implements seal.Root.
func (k *KMS) Destroy(ctx context.Context, key string) (gone time.Time, err error) {
	if err := k.ours(key); err != nil {
		return gone, err
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	err = k.patiently(ctx, func() error {
		_, err := k.client.ScheduleKeyDeletion(ctx, &kms.ScheduleKeyDeletionInput{KeyId: &key, PendingWindowInDays: aws.Int32(window)})
		return err
	})
	if err != nil && !is[*types.NotFoundException](err) && !is[*types.KMSInvalidStateException](err) {
		return gone, fmt.Errorf("aws kms: destroy key %s: %w", key, err)
	}
	gone, deleted, asked := k.deletion(ctx, key)
	if !deleted {
		return time.Time{}, fmt.Errorf("aws kms: destroy key %s: it is there after it was deleted: %w", key, errors.Join(err, asked))
	}
	return gone, nil
}

// deletion says from when a key is gone, if it is deleted.
func (k *KMS) deletion(ctx context.Context, key string) (gone time.Time, deleted bool, err error) {
	var told *kms.DescribeKeyOutput
	err = k.patiently(ctx, func() (err error) {
		told, err = k.client.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: &key})
		return err
	})
	switch {
	case is[*types.NotFoundException](err):
		return time.Now(), true, nil
	case err != nil:
		return gone, false, err
	case told.KeyMetadata.KeyState != types.KeyStatePendingDeletion || told.KeyMetadata.DeletionDate == nil:
		return gone, false, fmt.Errorf("its state is %s", told.KeyMetadata.KeyState)
	}
	return *told.KeyMetadata.DeletionDate, true, nil
}

// Delay implements seal.Root.
func (k *KMS) Delay() (time.Duration, error) { return window * 24 * time.Hour, nil }

// ours keeps the names of other regions and of other things out.
func (k *KMS) ours(key string) error {
	a, err := arn.Parse(key)
	if err != nil || a.Service != "kms" || a.Region != k.region || len(a.Resource) != len("key/")+36 || a.Resource[:4] != "key/" {
		return fmt.Errorf("aws kms: not the ARN of a key of %s: %w", k.region, seal.ErrRootKey)
	}
	return nil
}

// patiently asks again for as long as KMS does not know a key: a new one is
// known everywhere only after a moment.
func (k *KMS) patiently(ctx context.Context, ask func() error) error {
	end := time.Now().Add(k.patience)
	for pause := k.patience / 32; ; pause *= 2 {
		err := ask()
		if !is[*types.NotFoundException](err) || time.Now().Add(pause).After(end) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}

func is[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}
